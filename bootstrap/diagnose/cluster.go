package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/environment"
)

// requestLimit keeps a hanging API server from holding up the rest.
const requestLimit = 10 * time.Second

// ownGroups are the API groups whose kinds are collected wherever they are, whatever kinds they have.
var ownGroups = []string{"slipway.dev", "carto.run", "conventions.carto.run", "cert-manager.io"}

// namespaced are the resources that are collected in each relevant namespace.
var namespaced = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "endpoints"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Version: "v1", Resource: "persistentvolumeclaims"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
}

// clusterWide are the resources outside of namespaces.
var clusterWide = []schema.GroupVersionResource{
	{Version: "v1", Resource: "nodes"},
	{Version: "v1", Resource: "namespaces"},
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
}

// clusterReader reads the cluster's side.
type clusterReader struct {
	*collector
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	// namespaces are the relevant ones; it grows with those in which own kinds are found.
	namespaces map[string]bool
}

func (c *collector) collectCluster(ctx context.Context) {
	config := rest.CopyConfig(c.Kube)
	config.Timeout = requestLimit
	config.QPS = -1 // the API server limits by itself
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.missing("the cluster", err)
		return
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		c.missing("the cluster", err)
		return
	}
	r := &clusterReader{collector: c, typed: typed, dynamic: objects, namespaces: map[string]bool{
		environment.Namespace: true, "cert-manager": true, "kube-system": true,
	}}
	for _, namespace := range c.Namespaces {
		r.namespaces[namespace] = true
	}
	state, err := typed.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "true").DoRaw(ctx)
	if err != nil {
		c.missing("the cluster's objects and logs", err)
		c.problem("the API server is not ready: %v (node/kubelet.log, node/static-pods.log)", err)
		return
	}
	c.write("cluster/readyz.txt", state)
	if version, err := typed.Discovery().ServerVersion(); err == nil {
		c.writeYAML("cluster/version.yaml", version)
	}
	r.collectObjects(ctx)
}

// collectObjects goes from the cluster to the namespaces, so that the likeliest causes are told first.
func (r *clusterReader) collectObjects(ctx context.Context) {
	for _, resource := range clusterWide {
		r.collect(ctx, resource, "", "cluster/"+resource.Resource+".yaml")
	}
	if hosting, err := r.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("kube-public").
		Get(ctx, "local-registry-hosting", metav1.GetOptions{}); err == nil {
		r.writeYAML("cluster/local-registry-hosting.yaml", redact(hosting))
	} else {
		r.missing("ConfigMap kube-public/local-registry-hosting", err)
	}
	for _, resource := range r.ownResources(ctx) {
		r.collect(ctx, resource, "", "objects/"+resource.Resource+"."+resource.Group+".yaml")
	}
	var warnings []event
	for _, namespace := range sortedKeys(r.namespaces) {
		for _, resource := range namespaced {
			objects := r.collect(ctx, resource, namespace, "namespaces/"+namespace+"/"+resource.Resource+".yaml")
			if resource.Resource == "pods" {
				r.collectLogs(ctx, objects)
			}
		}
		warnings = append(warnings, r.collectEvents(ctx, namespace)...)
	}
	r.report.Warnings = latest(warnings)
}

// ownResources finds the kinds of slipway, Cartographer and cert-manager that the cluster knows.
func (r *clusterReader) ownResources(ctx context.Context) []schema.GroupVersionResource {
	groups, err := r.typed.Discovery().ServerGroups()
	if err != nil {
		r.missing("the list of kinds", err)
		return nil
	}
	var found []schema.GroupVersionResource
	for _, group := range groups.Groups {
		if !slices.Contains(ownGroups, group.Name) || ctx.Err() != nil {
			continue
		}
		list, err := r.typed.Discovery().ServerResourcesForGroupVersion(group.PreferredVersion.GroupVersion)
		if err != nil {
			r.missing("the kinds of "+group.Name, err)
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") && slices.Contains(resource.Verbs, "list") {
				found = append(found, schema.GroupVersionResource{Group: group.Name, Version: group.PreferredVersion.Version, Resource: resource.Name})
			}
		}
	}
	return found
}

// collect writes all objects of a resource, notes what looks wrong with them, and returns them. Namespace "" means
// all, and makes the objects' namespaces relevant.
func (r *clusterReader) collect(ctx context.Context, resource schema.GroupVersionResource, namespace, file string) []unstructured.Unstructured {
	list, err := r.dynamic.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil // the cluster has no such kind, or no such namespace
	}
	if err != nil {
		r.missing(file, err)
		return nil
	}
	var redacted []any
	for i := range list.Items {
		object := &list.Items[i]
		if namespace == "" && object.GetNamespace() != "" {
			r.namespaces[object.GetNamespace()] = true
		}
		for _, trouble := range troubles(object, time.Now()) {
			r.problem("%s (%s)", trouble, file)
		}
		redacted = append(redacted, redact(object))
	}
	if len(redacted) > 0 {
		r.writeYAML(file, map[string]any{"apiVersion": "v1", "kind": "List", "items": redacted})
	}
	return list.Items
}

// event is a line of the cluster's events.
type event struct {
	time    time.Time
	warning bool
	text    string
}

func (r *clusterReader) collectEvents(ctx context.Context, namespace string) []event {
	list, err := r.typed.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		r.missing("the events of namespace "+namespace, err)
		return nil
	}
	var events []event
	for _, item := range list.Items {
		when := item.LastTimestamp.Time
		if when.IsZero() {
			when = item.EventTime.Time
		}
		if item.Series != nil {
			when = item.Series.LastObservedTime.Time
		}
		about := item.InvolvedObject.Kind + " " + item.InvolvedObject.Namespace + "/" + item.InvolvedObject.Name
		events = append(events, event{time: when, warning: item.Type == "Warning",
			text: fmt.Sprintf("%s  %-7s %s  %s: %s", when.UTC().Format(time.RFC3339), item.Type, about, item.Reason, strings.TrimSpace(item.Message))})
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.time.Compare(b.time) })
	var text strings.Builder
	var warnings []event
	for _, e := range events {
		text.WriteString(e.text + "\n")
		if e.warning {
			warnings = append(warnings, e)
		}
	}
	r.write("namespaces/"+namespace+"/events.txt", []byte(text.String()))
	return warnings
}

// mostWarnings is how many warning events the README repeats.
const mostWarnings = 20

// latest returns the newest warnings, the newest first.
func latest(warnings []event) []string {
	slices.SortStableFunc(warnings, func(a, b event) int { return b.time.Compare(a.time) })
	var lines []string
	for _, e := range warnings[:min(len(warnings), mostWarnings)] {
		lines = append(lines, e.text)
	}
	return lines
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
