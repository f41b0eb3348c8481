package controller

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// survivalTemplates are what the golden cases of admission name, so that their chains get as far as they can.
const survivalTemplates = `
apiVersion: carto.run/v1alpha1
kind: KIND
metadata: {name: NAME}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: $(workload.metadata.name)$-NAME}
    data: {a: x}
  lifecycle: mutable
  PATHS`

// TestSurvivesWhatAdmissionRefuses puts every golden case of admission that the schema allows into a cluster without
// webhooks, with an owner that uses it: nothing panics, each owner is told where it stands, and others go on.
func TestSurvivesWhatAdmissionRefuses(t *testing.T) {
	b := newBench(t)
	b.run()
	panics := countPanics(t)
	b.apply(account)
	b.apply(role)
	b.apply(roleBinding)
	for kind, names := range map[string][]string{
		v1alpha1.KindClusterSourceTemplate:     {"git", "a", "b", "given"},
		v1alpha1.KindClusterImageTemplate:      {"build", "a", "given"},
		v1alpha1.KindClusterConfigTemplate:     {"pods"},
		v1alpha1.KindClusterTemplate:           {"app", "a", "b"},
		v1alpha1.KindClusterDeploymentTemplate: {"app", "a", "b"},
	} {
		paths := map[string]string{
			v1alpha1.KindClusterSourceTemplate: "urlPath: .data.a\n  revisionPath: .data.a", v1alpha1.KindClusterImageTemplate: "imagePath: .data.a",
			v1alpha1.KindClusterConfigTemplate: "configPath: .data", v1alpha1.KindClusterDeploymentTemplate: "observedMatches: [{input: data, output: data}]",
		}[kind]
		for _, name := range names {
			b.apply(strings.NewReplacer("KIND", kind, "NAME", name, "PATHS", paths).Replace(survivalTemplates))
		}
	}
	owners := b.putBrokenObjects()
	b.apply(demo)
	b.apply(imageTemplate)
	b.apply(chainOfOne)
	b.setImage("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
	for _, owner := range owners {
		b.eventually("a status of "+owner.GetKind()+" "+owner.GetName(), func() bool {
			if err := b.client.Get(b.Context(), client.ObjectKeyFromObject(owner), owner); err != nil {
				b.Fatal(err)
			}
			conditions, _, _ := unstructured.NestedSlice(owner.Object, "status", "conditions")
			return len(conditions) > 0
		}, func() any { return owner.Object })
		t.Logf("%s %s: %s", owner.GetKind(), owner.GetName(), readiness(owner))
	}
	runs := &corev1.ConfigMapList{}
	if err := b.client.List(t.Context(), runs, client.InNamespace(b.namespace), client.MatchingLabels{v1alpha1.LabelRunnableName: "run-without-spec"}); err != nil {
		t.Fatal(err)
	}
	if len(runs.Items) != 1 {
		t.Errorf("a run without a spec was made %d times", len(runs.Items))
	}
	if now := countPanics(t); now != panics {
		t.Errorf("%v reconciles panicked", now-panics)
	}
}

// putBrokenObjects stores the golden cases and returns their owners.
func (b *bench) putBrokenObjects() []*unstructured.Unstructured {
	b.Helper()
	files, err := filepath.Glob(filepath.Join("..", "admission", "testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		b.Fatalf("no cases: %v", err)
	}
	var owners []*unstructured.Unstructured
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			b.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(archive.Files[0].Data, &object.Object); err != nil {
			b.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if owner := b.putBrokenObject(object, name); owner != nil {
			owners = append(owners, owner)
		}
	}
	return owners
}

// putBrokenObject stores one, and returns the owner that uses it; nil when the schema does not let it in.
func (b *bench) putBrokenObject(object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	b.Helper()
	object.SetName(name)
	kind := object.GetKind()
	if !strings.HasPrefix(kind, "Cluster") {
		object.SetNamespace(b.namespace)
		return b.store(object)
	}
	if selector, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector"); selector["type"] != "" {
		b.set(object, map[string]any{"case": name}, "spec", "selector")
	}
	if kind == v1alpha1.KindClusterSupplyChain || kind == v1alpha1.KindClusterDelivery {
		b.set(object, map[string]any{"name": "stamper"}, "spec", "serviceAccountRef")
	}
	if b.store(object) == nil {
		return nil
	}
	owner := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "carto.run/v1alpha1", "kind": v1alpha1.KindWorkload, "spec": map[string]any{}}}
	owner.SetNamespace(b.namespace)
	owner.SetName(name)
	owner.SetLabels(map[string]string{"case": name, "lang": "a"})
	resources := []any{map[string]any{"name": "broken", "templateRef": map[string]any{"kind": kind, "name": name}}}
	chain := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "carto.run/v1alpha1", "kind": v1alpha1.KindClusterSupplyChain}}
	switch kind {
	case v1alpha1.KindClusterSupplyChain:
		return b.store(owner)
	case v1alpha1.KindClusterDelivery:
		owner.SetKind(v1alpha1.KindDeliverable)
		return b.store(owner)
	case v1alpha1.KindClusterRunTemplate:
		owner.SetKind(v1alpha1.KindRunnable)
		b.set(owner, map[string]any{"runTemplateRef": map[string]any{"name": name}, "serviceAccountName": "stamper"}, "spec")
		return b.store(owner)
	case v1alpha1.KindClusterDeploymentTemplate:
		owner.SetKind(v1alpha1.KindDeliverable)
		chain.SetKind(v1alpha1.KindClusterDelivery)
		resources = []any{
			map[string]any{"name": "source", "templateRef": map[string]any{"kind": v1alpha1.KindClusterSourceTemplate, "name": "git"}},
			map[string]any{"name": "broken", "templateRef": map[string]any{"kind": kind, "name": name}, "deployment": map[string]any{"resource": "source"}},
		}
	}
	chain.SetName("use-" + name)
	b.set(chain, map[string]any{"selector": map[string]any{"case": name}, "serviceAccountRef": map[string]any{"name": "stamper"}, "resources": resources}, "spec")
	if b.store(chain) == nil {
		b.Fatalf("the chain of %s was refused", name)
	}
	return b.store(owner)
}

func (b *bench) set(object *unstructured.Unstructured, value any, path ...string) {
	b.Helper()
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		b.Fatal(err)
	}
}

// store makes an object, and removes a cluster-wide one with the test; nil when it breaks the schema.
func (b *bench) store(object *unstructured.Unstructured) *unstructured.Unstructured {
	b.Helper()
	err := b.client.Create(b.Context(), object)
	if apierrors.IsInvalid(err) {
		return nil
	}
	if err != nil {
		b.Fatalf("storing %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	if object.GetNamespace() == "" {
		b.Cleanup(func() { _ = b.client.Delete(context.WithoutCancel(b.Context()), object) })
	}
	return object
}

// countPanics is how many reconciles of this process have panicked.
func countPanics(t *testing.T) float64 {
	t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_panics_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			total += metric.GetCounter().GetValue()
		}
	}
	return total
}

// readiness is the Ready condition of an object, in words.
func readiness(object *unstructured.Unstructured) string {
	var status v1alpha1.OwnerStatus
	encoded, _ := yaml.Marshal(object.Object["status"])
	_ = yaml.Unmarshal(encoded, &status)
	if ready := realize.Condition(status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return string(ready.Status) + " " + ready.Reason + " " + ready.Message
	}
	return "no Ready condition"
}
