package controller

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const immutableTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterImageTemplate
metadata: {name: build-NS}
spec:
  imagePath: .status.latestImage
  lifecycle: immutable
  healthRule: {multiMatch: {healthy: {matchFields: [{key: status.complete, operator: Exists}]}, unhealthy: {matchFields: [{key: status.failed, operator: Exists}]}}}
  retentionPolicy: {maxFailedRuns: 1, maxSuccessfulRuns: 1}
  template:
    apiVersion: slipway.dev/v1alpha1
    kind: Image
    metadata: {generateName: $(workload.metadata.name)$-}
    spec: {image: $(params.revision)$}`

// specless is stamped from a template without a spec, which Cartographer would stamp again and again.
const speclessTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: note-NS}
spec:
  lifecycle: immutable
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {generateName: note-}
    data: {revision: $(params.revision)$}`

const immutableChain = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - name: build
      templateRef: {kind: ClusterImageTemplate, name: build-NS}
    - name: note
      templateRef: {kind: ClusterTemplate, name: note-NS}`

const revised = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: demo
  labels: {chain: NS}
spec: {params: [{name: revision, value: v1}]}`

// stamped returns what was stamped for a resource of demo, by a field of it; of several with one value the others are told by "again".
func (b *bench) stamped(apiVersion, kind, resource string, field ...string) map[string]*unstructured.Unstructured {
	b.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	if err := b.client.List(b.Context(), list, client.InNamespace(b.namespace), client.MatchingLabels{v1alpha1.LabelResourceName: resource}); err != nil {
		b.Fatal(err)
	}
	found := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		value, _, _ := unstructured.NestedString(list.Items[i].Object, field...)
		for found[value] != nil {
			value += " again"
		}
		found[value] = &list.Items[i]
	}
	return found
}

func (b *bench) images() map[string]*unstructured.Unstructured {
	b.Helper()
	return b.stamped("slipway.dev/v1alpha1", "Image", "build", "spec", "image")
}

func (b *bench) revisions(want ...string) {
	b.Helper()
	seen := func() []string {
		var revisions []string
		for revision := range b.images() {
			revisions = append(revisions, revision)
		}
		slices.Sort(revisions)
		return revisions
	}
	b.eventually("there are "+strings.Join(want, ", "), func() bool { return cmp.Equal(seen(), want) }, func() any { return seen() })
}

func (b *bench) built(revision string, status map[string]any) {
	b.Helper()
	object := b.images()[revision]
	object.Object["status"] = status
	if err := b.client.Status().Update(b.Context(), object); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) output(want string) {
	b.Helper()
	b.eventually("the output is "+want, func() bool {
		resources := b.workload("demo").Status.Resources
		return len(resources) > 0 && len(resources[0].Outputs) == 1 && resources[0].Outputs[0].Preview == want+"\n"
	}, func() any { return b.workload("demo").Status })
}

func revision(name string) string { return strings.Replace(revised, "value: v1", "value: "+name, 1) }

func TestImmutableResources(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	for _, manifest := range []string{account, role, roleBinding, immutableTemplate, speclessTemplate, immutableChain, revised} {
		b.apply(manifest)
	}
	b.revisions("v1")
	b.condition("demo", "ResourcesSubmitted", "Unknown", "MissingValueAtPath")
	b.built("v1", map[string]any{"latestImage": "one", "complete": true})
	b.output("one")

	b.apply(revision("v2"))
	b.revisions("v1", "v2")
	b.output("one") // while v2 is not healthy
	b.condition("demo", "ResourcesHealthy", "Unknown", "HealthyConditionRule")
	b.built("v2", map[string]any{"latestImage": "two", "complete": true})
	b.output("two")
	b.revisions("v2") // one that succeeded is kept
	b.condition("demo", "Ready", "True", "Ready")

	before := b.everything()
	stop()
	stop = b.run()
	b.apply(strings.Replace(revision("v2"), "metadata:", "metadata:\n  annotations: {wake: up}", 1))
	b.apply(revision("v3"))
	b.revisions("v2", "v3")
	b.eventually("there is a note for each revision", func() bool { return len(b.stamped("v1", "ConfigMap", "note", "data", "revision")) == 3 },
		func() any { return b.workload("demo").Status })
	stop()
	for uid := range before {
		if b.everything()[uid] == "" {
			t.Errorf("the restart deleted %s", before[uid])
		}
	}
}

// everything is all that was stamped, with its resource version.
func (b *bench) everything() map[string]string {
	b.Helper()
	all := map[string]string{}
	for _, objects := range []map[string]*unstructured.Unstructured{b.images(), b.stamped("v1", "ConfigMap", "note", "data", "revision")} {
		for _, object := range objects {
			all[string(object.GetUID())] = object.GetResourceVersion()
		}
	}
	return all
}

func TestRestartStampsNothingImmutableAgain(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	for _, manifest := range []string{account, role, roleBinding, immutableTemplate, speclessTemplate, immutableChain, revised} {
		b.apply(manifest)
	}
	b.revisions("v1")
	b.built("v1", map[string]any{"latestImage": "one", "complete": true})
	b.condition("demo", "Ready", "True", "Ready")
	before := b.everything()
	stop()
	stop = b.run()
	// What the controller writes after this shows that it has looked at the workload again.
	b.apply(strings.Replace(immutableChain, "  resources:", "  params: [{name: other, default: x}]\n  resources:\n    - {name: last, templateRef: {kind: ClusterTemplate, name: last-NS}}", 1))
	b.apply(strings.NewReplacer("note-NS", "last-NS", "immutable", "mutable", "generateName: note-", "name: last", "$(params.revision)$", "$(params.other)$").Replace(speclessTemplate))
	b.eventually("the new resource is stamped", func() bool { return b.get("v1", "ConfigMap", "last") != nil }, func() any { return b.workload("demo").Status })
	stop()
	if diff := cmp.Diff(before, b.everything()); diff != "" {
		t.Errorf("what was stamped (-before +after):\n%s", diff)
	}
}

func TestOtherTemplateDeletesAllThatTheFirstStamped(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{account, role, roleBinding, immutableTemplate, speclessTemplate, immutableChain, revised} {
		b.apply(manifest)
	}
	b.revisions("v1")
	b.apply(revision("v2"))
	b.revisions("v1", "v2")
	b.apply(strings.NewReplacer("name: build-NS", "name: plain-NS", "lifecycle: immutable", "lifecycle: mutable", "generateName: $(workload.metadata.name)$-", "name: plain",
		"retentionPolicy: {maxFailedRuns: 1, maxSuccessfulRuns: 1}", "params: []").Replace(immutableTemplate))
	b.apply(strings.Replace(immutableChain, "name: build-NS", "name: plain-NS", 1))
	b.eventually("only the new one is left", func() bool {
		images := b.images()
		return len(images) == 1 && images["v2"] != nil && images["v2"].GetName() == "plain"
	}, func() any { return b.workload("demo").Status })
}
