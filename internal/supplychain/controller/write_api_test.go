package controller

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const mapTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: map-NS}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: $(workload.metadata.name)$}
    data: {kept: "1", dropped: "2"}`

const mapChain = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - {name: map, templateRef: {kind: ClusterTemplate, name: map-NS}}`

func (b *bench) data(name string, want map[string]any) {
	b.Helper()
	b.eventually("the ConfigMap holds what it should", func() bool {
		object := b.get("v1", "ConfigMap", name)
		return object != nil && cmp.Equal(object.Object["data"], want)
	}, func() any { return b.get("v1", "ConfigMap", name) })
}

// TestFieldsThatCartographerWroteAreOurs has a template drop a field of an object that Cartographer stamped by updates.
func TestFieldsThatCartographerWroteAreOurs(t *testing.T) {
	b := newBench(t)
	b.apply(demo)
	workload := b.workload("demo")
	yes := true
	object := b.parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: demo, labels: {carto.run/workload-name: demo, carto.run/workload-namespace: NS}}\ndata: {kept: \"1\", dropped: \"2\"}")[0]
	object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "carto.run/v1alpha1", Kind: "Workload", Name: "demo", UID: workload.UID, Controller: &yes, BlockOwnerDeletion: &yes}})
	if err := b.client.Create(t.Context(), object, client.FieldOwner(cartographerManager)); err != nil {
		t.Fatal(err)
	}
	object.SetAnnotations(map[string]string{"someone": "else"})
	if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
		t.Fatal(err)
	}
	b.run()
	for _, manifest := range []string{account, role, roleBinding, strings.Replace(mapTemplate, `, dropped: "2"`, "", 1), mapChain} {
		b.apply(manifest)
	}
	b.condition("demo", "Ready", "True", "Ready")
	b.data("demo", map[string]any{"kept": "1"})
	if b.get("v1", "ConfigMap", "demo").GetAnnotations()["someone"] != "else" {
		t.Error("what someone else wrote is gone")
	}
}

func TestWhatNobodyControlsIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: demo}\ndata: {their: own}")
	b.run()
	for _, manifest := range []string{account, role, roleBinding, mapTemplate, mapChain, demo} {
		b.apply(manifest)
	}
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	if want := "ConfigMap [demo] exists and was not stamped for this workload: it is left as it is"; !strings.HasSuffix(message, want) {
		t.Errorf("message %q", message)
	}
	b.data("demo", map[string]any{"their": "own"})
	b.delete("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: demo}")
	b.condition("demo", "Ready", "True", "Ready")
}

// TestListsWithOneKeyTwice stamps what server-side apply refuses and an update does not.
func TestListsWithOneKeyTwice(t *testing.T) {
	b := newBench(t)
	b.run()
	env := func(entries string) {
		b.apply(strings.NewReplacer("env: $(workload.spec.env)$", "env: ["+entries+"]", "$(images.app.image)$", "app").Replace(deploymentTemplate))
	}
	has := func(want string) {
		b.Helper()
		seen := func() string {
			object := b.get("apps/v1", "Deployment", "demo")
			if object == nil {
				return ""
			}
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			encoded, err := json.Marshal(containers[0].(map[string]any)["env"])
			if err != nil {
				t.Fatal(err)
			}
			return string(encoded)
		}
		b.eventually("env is "+want, func() bool { return seen() == want }, func() any { return seen() })
	}
	for _, manifest := range []string{account, role, roleBinding, strings.NewReplacer("map-NS", "deployment-NS").Replace(mapChain), demo} {
		b.apply(manifest)
	}
	env(`{name: A, value: "1"}, {name: A, value: "2"}, {name: B, value: "3"}`)
	b.condition("demo", "Ready", "True", "Ready")
	has(`[{"name":"A","value":"1"},{"name":"A","value":"2"},{"name":"B","value":"3"}]`)
	env(`{name: A, value: "1"}, {name: A, value: "4"}`)
	has(`[{"name":"A","value":"1"},{"name":"A","value":"4"}]`)
	env(`{name: A, value: "5"}`)
	has(`[{"name":"A","value":"5"}]`)
	b.condition("demo", "Ready", "True", "Ready")
	if _, merged := b.get("apps/v1", "Deployment", "demo").GetAnnotations()[annotationMerged]; merged {
		t.Error("the Deployment still is as if merged")
	}
}

func TestNamesThatNoLabelHolds(t *testing.T) {
	b := newBench(t)
	b.run()
	long := "a." + strings.Repeat("b", 80)
	for _, manifest := range []string{account, role, roleBinding, mapTemplate, mapChain, strings.Replace(demo, "name: demo", "name: "+long, 1)} {
		b.apply(manifest)
	}
	b.condition(long, "Ready", "True", "Ready")
	object := b.get("v1", "ConfigMap", long)
	if label := object.GetLabels()[v1alpha1.LabelWorkloadName]; label == long || label == "" || object.GetAnnotations()[v1alpha1.LabelWorkloadName] != long {
		t.Errorf("label %q, annotations %v", label, object.GetAnnotations())
	}
	b.delete("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + long + "}")
	b.data(long, map[string]any{"kept": "1", "dropped": "2"}) // its end woke the workload
}
