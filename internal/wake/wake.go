// Package wake asks stages of a supply chain to look again at once, and waits until they have: those that follow
// something outside of the cluster, of which nothing may tell, or write to it. A Build has its image built anew. What they
// find is theirs to say.
package wake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/kube"
)

// kinds are those that heed the annotation slipway.dev/requested-at, and say so in status.lastHandledRequest.
var kinds = []struct {
	kind, plural string
	named        bool // asked by its own name only, since it does more than look
}{
	{"Source", "sources", false}, {"Image", "images", false}, {"Release", "releases", false}, {"GitCommit", "gitcommits", false}, {"Build", "builds", true},
}

// Kinds are the kinds that can be asked, as users write them.
func Kinds() []string {
	var names []string
	for _, one := range kinds {
		names = append(names, strings.ToLower(one.kind))
	}
	return names
}

// Target is an object that is asked to look again.
type Target struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`

	resource schema.GroupVersionResource
	named    bool // not one of those that Workload finds
}

// String is the target as users write it.
func (t Target) String() string { return strings.ToLower(t.Kind) + "/" + t.Name }

// Result is what a target said after it had looked.
type Result struct {
	Target
	// Observed is whether it has looked; false where nobody waited for that.
	Observed bool                   `json:"observed"`
	Ready    metav1.ConditionStatus `json:"ready,omitempty"`
	Reason   string                 `json:"reason,omitempty"`
	Message  string                 `json:"message,omitempty"`
	// Revision is what it has put out last: a revision or an image.
	Revision string        `json:"revision,omitempty"`
	Took     time.Duration `json:"took,omitempty"` // nanoseconds, from the request until it was observed
}

// Parse reads KIND/NAME; the kind may be written as singular or plural, with or without its group.
func Parse(namespace, argument string) (Target, error) {
	written, name, _ := strings.Cut(argument, "/")
	kind := strings.TrimSuffix(strings.ToLower(written), "."+v1alpha1.GroupVersion.Group)
	for _, one := range kinds {
		if kind == one.plural || kind == strings.ToLower(one.kind) {
			if name == "" {
				return Target{}, fmt.Errorf("%q has no name: write %s/NAME", argument, kind)
			}
			return target(one.kind, namespace, name)
		}
	}
	return Target{}, hint.Withf(fmt.Errorf("there is nothing to ask a %s for", written),
		"these can be asked: %s; all others are woken by what they depend on", strings.Join(Kinds(), ", "))
}

func target(kind, namespace, name string) (Target, error) {
	for _, one := range kinds {
		if one.kind == kind {
			return Target{Kind: kind, Namespace: namespace, Name: name, resource: v1alpha1.GroupVersion.WithResource(one.plural), named: one.named}, nil
		}
	}
	return Target{}, fmt.Errorf("a %s cannot be asked", kind)
}

// Workload finds what of a workload's supply chain, and of its delivery, can be asked to look. Builds are not among them:
// nobody who wants the sources looked at wants an image built anew.
func Workload(ctx context.Context, cluster dynamic.Interface, namespace, name string) ([]Target, error) {
	workload, err := cluster.Resource(carto.GroupVersion.WithResource("workloads")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, hint.Withf(fmt.Errorf("there is no workload %s in namespace %s", name, namespace), "`slipway status` lists them; -n chooses another namespace")
	}
	if err != nil {
		return nil, fmt.Errorf("reading workload %s/%s: %w", namespace, name, err)
	}
	found, deliverables := stamped(workload)
	for _, one := range deliverables {
		deliverable, err := cluster.Resource(carto.GroupVersion.WithResource("deliverables")).Namespace(one.Namespace).Get(ctx, one.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading deliverable %s/%s: %w", one.Namespace, one.Name, err)
		}
		more, _ := stamped(deliverable)
		found = append(found, more...)
	}
	if len(found) == 0 {
		return nil, hint.Withf(fmt.Errorf("workload %s/%s has no stage that looks outside of the cluster", namespace, name),
			"`slipway tree %s -n %s` shows its stages; these can be asked: %s", name, namespace, strings.Join(Kinds(), ", "))
	}
	return found, nil
}

// stamped are the targets and the deliverables that were stamped for an owner.
func stamped(owner *unstructured.Unstructured) (targets []Target, deliverables []types.NamespacedName) {
	resources, _, _ := unstructured.NestedSlice(owner.Object, "status", "resources")
	for _, entry := range resources {
		resource, is := entry.(map[string]any)
		if !is {
			continue
		}
		get := func(field string) string {
			value, _, _ := unstructured.NestedString(resource, "stampedRef", field)
			return value
		}
		namespace := get("namespace")
		if namespace == "" {
			namespace = owner.GetNamespace()
		}
		switch kind := get("kind"); {
		case kind == carto.KindDeliverable:
			deliverables = append(deliverables, types.NamespacedName{Namespace: namespace, Name: get("name")})
		case strings.HasPrefix(get("apiVersion"), v1alpha1.GroupVersion.Group+"/"):
			if one, err := target(kind, namespace, get("name")); err == nil && !one.named && !slices.Contains(targets, one) {
				targets = append(targets, one)
			}
		}
	}
	return targets, deliverables
}

// Ask asks the targets to look again. With wait it returns once all have, or when ctx ends before. The error is that of
// all with which that went wrong; the results are of those that were asked all the same.
// request must be a value that no earlier request had.
func Ask(ctx context.Context, cluster dynamic.Interface, targets []Target, request string, wait bool) ([]Result, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRequestedAt: request}}})
	if err != nil {
		return nil, err
	}
	results, problems := make([]Result, len(targets)), make([]error, len(targets))
	var group sync.WaitGroup
	for i, one := range targets {
		group.Go(func() { results[i], problems[i] = ask(ctx, cluster, one, patch, request, wait) })
	}
	group.Wait()
	results = slices.DeleteFunc(results, func(one Result) bool { return one.Target == Target{} })
	return results, errors.Join(problems...)
}

// ask asks one target; the result is empty when it was not asked.
func ask(ctx context.Context, cluster dynamic.Interface, one Target, patch []byte, request string, wait bool) (Result, error) {
	start := time.Now()
	at := cluster.Resource(one.resource).Namespace(one.Namespace)
	if _, err := at.Patch(ctx, one.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "slipway"}); err != nil {
		return Result{}, fmt.Errorf("asking %s in namespace %s to look again: %w", one, one.Namespace, err)
	}
	result := Result{Target: one}
	if !wait {
		return result, nil
	}
	err := kube.Wait(ctx, one.String()+" to look again", nil, func(ctx context.Context) (bool, string, error) {
		object, err := at.Get(ctx, one.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, "", kube.Stop(err)
		}
		if err != nil {
			return false, "", err
		}
		result = read(one, object, request)
		result.Took = time.Since(start)
		return result.Observed, saw(one, object), nil
	})
	return result, err
}

// read reads how a target is.
func read(one Target, object *unstructured.Unstructured, request string) Result {
	handled, _, _ := unstructured.NestedString(object.Object, "status", "lastHandledRequest")
	result := Result{Target: one, Observed: handled == request}
	status, reason, message := kube.Condition(object, v1alpha1.ConditionReady)
	result.Ready, result.Reason, result.Message = metav1.ConditionStatus(status), reason, message
	for _, path := range [][]string{{"artifact", "revision"}, {"latestImage"}, {"revision"}} {
		if value, found, _ := unstructured.NestedString(object.Object, append([]string{"status"}, path...)...); found && result.Revision == "" {
			result.Revision = value
		}
	}
	return result
}

func saw(one Target, object *unstructured.Unstructured) string {
	_, reason, message := kube.Condition(object, v1alpha1.ConditionReady)
	if reason == "" {
		return one.String() + " has not been looked at by the controller yet"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s is still %s: %s", one, reason, message), ": ")
}
