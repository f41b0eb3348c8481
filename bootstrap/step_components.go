package bootstrap

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

var (
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	supplyChains = schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: "clustersupplychains"}
	deliveries   = schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: "clusterdeliveries"}
	workloads    = schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: "workloads"}
	ingresses    = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
)

// controllerName is the Deployment of slipwayd's controller.
const controllerName = "slipway-controller"

// applyBase puts in what everything else in the cluster needs: the namespace, the kinds, who may do what, and the
// ConfigMaps that say what this environment is.
func (u *up) applyBase(ctx context.Context, task ui.Task) (outcome, error) {
	if err := u.inventory.load(ctx, u.client); err != nil {
		return outcome{}, err
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": environment.Namespace}}}
	changed, err := u.apply(ctx, []*unstructured.Unstructured{namespace})
	if err != nil {
		return outcome{}, err
	}
	contents, err := embedded.CRDs()
	if err != nil {
		return outcome{}, err
	}
	var objects []*unstructured.Unstructured
	for _, content := range contents {
		found, err := kube.Decode(content)
		if err != nil {
			return outcome{}, fmt.Errorf("reading the embedded CRDs: %w", err)
		}
		objects = append(objects, found...)
	}
	uid, err := u.clusterUID(ctx)
	if err != nil {
		return outcome{}, err
	}
	more, err := u.apply(ctx, append(objects, u.hostingConfigMap(), u.environmentConfigMap(uid)))
	if err != nil {
		return outcome{}, err
	}
	for _, definition := range objects {
		if err := u.awaitKind(ctx, task, definition); err != nil {
			return outcome{}, err
		}
	}
	return outcome{changed: changed || more, detail: fmt.Sprintf("%d kinds", len(objects))}, nil
}

func (u *up) awaitKind(ctx context.Context, task ui.Task, definition *unstructured.Unstructured) error {
	resource, err := u.client.Resource(definition)
	if err != nil {
		return err
	}
	say := func(saw string) { task.Update("%s", saw) }
	return kube.Wait(ctx, "kind "+definition.GetName(), say, func(ctx context.Context) (bool, string, error) {
		found, err := resource.Get(ctx, definition.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		status, _, message := kube.Condition(found, "Established")
		return status == "True", definition.GetName() + ": " + message, nil
	})
}

// ensureController runs slipwayd's controller and waits until it is ready.
func (u *up) ensureController(ctx context.Context, task ui.Task) (outcome, error) {
	objects, err := u.controllerObjects()
	if err != nil {
		return outcome{}, err
	}
	changed, err := u.apply(ctx, objects)
	if err != nil {
		return outcome{}, err
	}
	waited, err := u.awaitDeployment(ctx, task, environment.Namespace, controllerName)
	return outcome{changed: changed || waited, detail: "ready"}, err
}

// slipwaydReference is slipwayd's image as the cluster's pods name it.
func (u *up) slipwaydReference() string {
	return fmt.Sprintf("localhost:%d/%s@%s", u.registryPort, slipwaydRepository, u.imageDigest)
}

func (u *up) controllerObjects() ([]*unstructured.Unstructured, error) {
	contents, err := embedded.Manifests("controller")
	if err != nil {
		return nil, err
	}
	events := ""
	if u.RegistryEvents {
		events = "http://" + u.Name.RegistryInCluster() + eventsPath
	}
	gitServer, gitPublished := "", ""
	if u.profile.Has(profiles.Git) {
		gitServer, gitPublished = u.Name.GitInCluster(), fmt.Sprintf("localhost:%d", u.gitPort)
	}
	webhookSecret := "" // without cert-manager there is nobody to make one
	if u.profile.Has(profiles.CertManager) {
		webhookSecret = webhookName
	}
	replacer := strings.NewReplacer(
		"${IMAGE}", u.slipwaydReference(),
		"${REGISTRY_PORT}", fmt.Sprint(u.registryPort),
		"${REGISTRY_IN_CLUSTER}", u.Name.RegistryInCluster(),
		"${REGISTRY_EVENTS}", events,
		"${GIT_SERVER}", gitServer,
		"${GIT_PUBLISHED}", gitPublished,
		"${WEBHOOK_SECRET}", webhookSecret,
		"${INGRESS_NODE_PORT}", fmt.Sprint(cluster.IngressNodePort),
		"${INGRESS_TLS_NODE_PORT}", fmt.Sprint(cluster.IngressTLSNodePort),
	)
	var objects []*unstructured.Unstructured
	for _, content := range contents {
		found, err := kube.Decode([]byte(replacer.Replace(string(content))))
		if err != nil {
			return nil, fmt.Errorf("reading the controller's manifests: %w", err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// eventsPath is where the registry tells of pushes.
const eventsPath = "/slipway/v1/events"

// awaitDeployment waits until a Deployment's newest revision is fully there, and reports whether it had to wait.
func (u *up) awaitDeployment(ctx context.Context, task ui.Task, namespace, name string) (bool, error) {
	looks := 0
	say := func(saw string) { task.Update("waiting for %s", saw) }
	err := kube.Wait(ctx, "deployment "+namespace+"/"+name, say, func(ctx context.Context) (bool, string, error) {
		looks++
		found, err := u.client.Dynamic.Resource(deployments).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		ready, saw := kube.DeploymentReady(found)
		if !ready {
			if why := podTrouble(ctx, u.client, found); why != "" {
				saw += "; " + why
			}
		}
		return ready, saw, nil
	})
	return looks > 1, err
}

// applyProfile puts in the profile's supply chains and templates, but for those that somebody has made his own. An
// environment that is being repaired may ask webhooks that do not answer until the controller is back.
func (u *up) applyProfile(ctx context.Context, task ui.Task) (outcome, error) {
	objects, err := u.profile.ObjectsFor(profiles.Settings{RegistryPort: u.registryPort, SlipwaydImage: u.slipwaydReference(), GitServer: u.Name.GitInCluster()})
	if err != nil {
		return outcome{}, err
	}
	// What is left alone is part of the profile all the same, and not to be pruned.
	if err := u.inventory.announce(ctx, u.client, objects); err != nil {
		return outcome{}, err
	}
	ours, said, err := u.leaveTheirs(ctx, objects)
	if err != nil {
		return outcome{}, err
	}
	say := func(saw string) { task.Update("%s", saw) }
	changed, err := u.applyWhenHeard(ctx, "the profile's supply chains", say, ours)
	if err != nil {
		return outcome{}, err
	}
	detail := fmt.Sprintf("%d objects", len(objects))
	if len(said) > 0 {
		detail += fmt.Sprintf(", %d of them changed here and left so", len(said))
	}
	for _, text := range said {
		u.Progress.Say("%s", text)
	}
	return outcome{changed: changed, detail: detail}, nil
}

// awaitProfile waits until the controller has taken up every supply chain and delivery of the profile: the proof that it
// works.
func (u *up) awaitProfile(ctx context.Context, task ui.Task) (outcome, error) {
	result, err := u.awaitBlueprints(ctx, task)
	if err != nil {
		return outcome{}, err
	}
	return result, u.inventory.save(ctx, u.client)
}

// awaitBlueprints waits for the profile's own ones first: by then the controller has seen all that they share with those
// that somebody has changed.
func (u *up) awaitBlueprints(ctx context.Context, task ui.Task) (outcome, error) {
	objects, err := u.profile.Objects()
	if err != nil {
		return outcome{}, err
	}
	count, waited, unready := 0, false, 0
	for _, left := range []bool{false, true} {
		for _, object := range objects {
			if u.left[itemOf(object)] != left || object.GetKind() != "ClusterSupplyChain" && object.GetKind() != "ClusterDelivery" {
				continue
			}
			if object.GetKind() == "ClusterSupplyChain" {
				count++
			}
			hadTo, ready, err := u.awaitBlueprint(ctx, task, object, left)
			if err != nil {
				return outcome{}, err
			}
			waited = waited || hadTo
			if !ready {
				unready++
			}
		}
	}
	result := outcome{changed: waited, detail: fmt.Sprint(count)}
	if unready > 0 {
		result.detail += fmt.Sprintf("; changed here and not Ready: %d", unready)
	}
	return result, nil
}

// awaitBlueprint waits until a supply chain or a delivery is Ready and reports whether it had to. Nothing that `up` does
// makes one Ready that was left as somebody has changed it: of that only the controller's word is awaited, and told.
func (u *up) awaitBlueprint(ctx context.Context, task ui.Task, object *unstructured.Unstructured, left bool) (waited, ready bool, err error) {
	resource, what := supplyChains, "supply chain "+object.GetName()
	if object.GetKind() == "ClusterDelivery" {
		resource, what = deliveries, "delivery "+object.GetName()
	}
	looks, why := 0, ""
	say := func(saw string) { task.Update("%s", saw) }
	err = kube.Wait(ctx, what, say, func(ctx context.Context) (bool, string, error) {
		looks++
		found, err := u.client.Dynamic.Resource(resource).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		status, reason, message := kube.Condition(found, "Ready")
		if status == "" {
			reason = "the controller has not looked at it yet"
		}
		ready, why = status == "True", strings.TrimSpace(reason+" "+message)
		return ready || left && status != "", what + ": " + why, nil
	})
	if err == nil && !ready {
		u.notes.add(fmt.Sprintf("%s was changed here and is not Ready (%s): put that right, or %s", what, why, bringBack(object, u.Name)))
	}
	return looks > 1, ready, err
}

// labelManagedBy and managedBy mark what `up` has put into the cluster.
const labelManagedBy, managedBy = "app.kubernetes.io/managed-by", "slipway"

// apply writes objects, several at a time, notes them in the inventory, and reports whether any changed. Namespaces
// and access come first in the callers' lists; the API server takes the rest in any order.
func (u *up) apply(ctx context.Context, objects []*unstructured.Unstructured) (bool, error) {
	if err := u.inventory.announce(ctx, u.client, objects); err != nil {
		return false, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	changes := make([]bool, len(objects))
	for i, object := range objects {
		group.Go(func() error {
			labels := object.GetLabels()
			if labels == nil {
				labels = map[string]string{}
			}
			labels[labelManagedBy] = managedBy
			object.SetLabels(labels)
			_, changed, err := u.client.Apply(ctx, object, environment.FieldManager)
			changes[i] = changed
			return err
		})
	}
	err := group.Wait()
	for _, changed := range changes {
		if changed {
			return true, err
		}
	}
	return false, err
}

// prune deletes what an earlier `up` put in and this one does not have: another profile's, or an older slipway's.
func (u *up) prune(ctx context.Context, task ui.Task) (outcome, error) {
	removed, err := u.inventory.prune(ctx, u.client, func(object *unstructured.Unstructured) { task.Update("deleting %s", kube.Name(object)) })
	if err != nil {
		return outcome{}, err
	}
	if gone, err := u.pruneGit(ctx); err != nil {
		return outcome{}, err
	} else if gone {
		removed++
	}
	if !u.profile.Has(profiles.CertManager) {
		if err := u.removeWebhookSecret(ctx); err != nil {
			return outcome{}, err
		}
		gone, err := u.removeCertManager(ctx, task)
		if err != nil {
			return outcome{}, err
		}
		removed += gone
	}
	if removed == 0 {
		return outcome{detail: "none"}, nil
	}
	return outcome{changed: true, detail: fmt.Sprintf("%d removed", removed)}, nil
}

// ignoreNotFound makes "it is not there" no error.
func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
