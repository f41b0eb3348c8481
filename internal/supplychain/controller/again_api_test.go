package controller

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// versions are the resource versions of all that the controller may write in the test's namespace.
func (b *bench) versions() map[string]string {
	b.Helper()
	versions := map[string]string{}
	for kind, apiVersion := range map[string]string{
		"Workload": "carto.run/v1alpha1", "Deliverable": "carto.run/v1alpha1", "Image": "slipway.dev/v1alpha1", "Deployment": "apps/v1", "ConfigMap": "v1",
	} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(apiVersion)
		list.SetKind(kind + "List")
		if err := b.client.List(b.Context(), list, client.InNamespace(b.namespace)); err != nil {
			b.Fatal(err)
		}
		for _, object := range list.Items {
			versions[kind+"/"+object.GetName()] = object.GetResourceVersion()
		}
	}
	return versions
}

// changesNothing reconciles demo by hand, so that it is certain that it has happened, as after two restarts.
func (b *bench) changesNothing(of func() *family) {
	b.Helper()
	before := b.versions()
	for range 2 {
		mgr := b.manager()
		parts, err := newShared(mgr, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		w := newOwners(mgr, parts, of())
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		if err := w.stamped.Start(b.Context(), queue); err != nil {
			b.Fatal(err)
		}
		stop := b.start(mgr)
		request := reconcile.Request{NamespacedName: client.ObjectKey{Namespace: b.namespace, Name: "demo"}}
		b.eventually("the cache answers", func() bool { return w.client.Get(b.Context(), request.NamespacedName, w.family.newOwner()) == nil }, func() any { return nil })
		for range 3 {
			result, err := w.Reconcile(b.Context(), request)
			if err != nil || !result.IsZero() {
				b.Errorf("reconciling: %v, %v", result, err)
			}
		}
		stop()
		queue.ShutDown()
	}
	if diff := cmp.Diff(before, b.versions()); diff != "" {
		b.Errorf("resource versions (-before +after):\n%s", diff)
	}
}

func TestNothingIsWrittenWhileNothingChanges(t *testing.T) {
	t.Run("workload", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		b.ready()
		stop()
		b.changesNothing(supplyChains)
	})
	t.Run("deliverable", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		for _, manifest := range []string{account, role, roleBinding, sourceTemplate, deployTemplate, afterTemplate, delivery, shipped} {
			b.apply(manifest)
		}
		b.available("True", "Fine", 0)
		b.delivered("Ready", "True", "Ready")
		stop()
		b.changesNothing(deliveries)
	})
	t.Run("immutable resources", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		for _, manifest := range []string{account, role, roleBinding, immutableTemplate, speclessTemplate, immutableChain, revised} {
			b.apply(manifest)
		}
		b.revisions("v1")
		b.built("v1", map[string]any{"latestImage": "one", "complete": true})
		b.condition("demo", "Ready", "True", "Ready")
		stop()
		b.changesNothing(supplyChains)
	})
	t.Run("what had to be merged", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		twice := strings.NewReplacer("env: $(workload.spec.env)$", "env: [{name: A, value: first}, {name: A, value: second}]", "$(images.app.image)$", "app").Replace(deploymentTemplate)
		for _, manifest := range []string{account, role, roleBinding, twice, strings.Replace(mapChain, "map-NS", "deployment-NS", 1), demo} {
			b.apply(manifest)
		}
		b.condition("demo", "Ready", "True", "Ready")
		stop()
		b.changesNothing(supplyChains)
	})
}

// TestWhichBlueprint has deliverables that several deliveries fit.
func TestWhichBlueprint(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{account, role, roleBinding, sourceTemplate, deployTemplate, afterTemplate, delivery, shipped} {
		b.apply(manifest)
	}
	b.delivered("DeliveryReady", "True", "Ready")
	other := strings.Replace(delivery, "name: delivery-NS", "name: other-NS", 1)
	b.apply(other)
	if got, want := b.delivered("DeliveryReady", "False", "MultipleDeliveryMatches"), "deliverable may only match a single delivery's selector"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if b.get("apps/v1", "Deployment", "demo") == nil {
		t.Error("what was delivered did not stay while it is not decided who delivers")
	}
	b.apply(strings.Replace(other, "  selector: {delivery: NS}", "  selector: {delivery: NS}\n  selectorMatchFields: [{key: spec.source.image, operator: Exists}]", 1))
	b.delivered("DeliveryReady", "True", "Ready")
	b.eventually("the one that asks for more delivers", func() bool { return b.deliverable("demo").Status.DeliveryRef.Name == "other-"+b.namespace },
		func() any { return b.deliverable("demo").Status })
	b.eventually("the Deployment is labelled anew", func() bool {
		return b.get("apps/v1", "Deployment", "demo").GetLabels()[v1alpha1.LabelDeliveryName] == "other-"+b.namespace
	}, func() any { return b.deliverable("demo").Status })
}
