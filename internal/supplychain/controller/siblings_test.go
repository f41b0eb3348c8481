package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

// sibling is a run of owner "us", second 0 of its making being the oldest.
func sibling(name string, second int, annotations map[string]string, succeeded metav1.ConditionStatus) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "status": map[string]any{
		"conditions": []any{map[string]any{"type": conditionSucceeded, "status": string(succeeded)}},
	}}}
	object.SetName(name)
	object.SetUID(types.UID("uid-" + name))
	object.SetNamespace("ns")
	object.SetLabels(map[string]string{"for": "demo"})
	object.SetAnnotations(annotations)
	object.SetCreationTimestamp(metav1.NewTime(time.Unix(int64(second), 0)))
	controller := true
	object.SetOwnerReferences([]metav1.OwnerReference{{UID: "us", Controller: &controller}})
	return object
}

func names(objects []*unstructured.Unstructured) []string {
	found := []string{}
	for _, object := range objects {
		found = append(found, object.GetName())
	}
	return found
}

func numbered(number string) map[string]string { return map[string]string{annotationSequence: number} }

func TestSiblingsNewestFirst(t *testing.T) {
	others, elsewhere := sibling("other-label", 9, nil, "True"), sibling("other-owner", 9, nil, "True")
	others.SetLabels(map[string]string{"for": "another"})
	elsewhere.SetOwnerReferences(nil)
	foreign := sibling("other-namespace", 9, numbered("999"), "True") // as nobody of ours could make it
	foreign.SetNamespace("another")
	of := &siblings{owner: "us", labels: map[string]string{"for": "demo"}, mapping: &meta.RESTMapping{Scope: meta.RESTScopeNamespace}, namespace: "ns"}
	got := of.sorted([]*unstructured.Unstructured{
		others, elsewhere, foreign,
		sibling("theirs-old", 1, nil, "True"), sibling("theirs-new", 2, nil, "True"),
		sibling("tenth", 5, numbered("10"), "True"), sibling("ninth", 5, numbered("9"), "True"),
		sibling("same-second-b", 0, nil, "True"), sibling("same-second-a", 0, nil, "True"),
	})
	if diff := cmp.Diff([]string{"tenth", "ninth", "theirs-new", "theirs-old", "same-second-a", "same-second-b"}, names(got)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if got := nextSequence(got); got != 11 {
		t.Errorf("next number = %d, want 11", got)
	}
}

// TestSiblingOfCartographer : what has no hash is taken by its content, whatever the API server added to it.
func TestSiblingOfCartographer(t *testing.T) {
	asked := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"generateName": "run-", "annotations": map[string]any{annotationHash: "h", annotationAccount: "ns/a"}},
		"spec":     map[string]any{"image": "one"}}}
	theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "run-x", "generateName": "run-"},
		"spec":     map[string]any{"image": "one", "restartPolicy": "Always"}}}
	changed, ours, going := theirs.DeepCopy(), theirs.DeepCopy(), theirs.DeepCopy()
	changed.Object["spec"] = map[string]any{"image": "two"}
	ours.SetAnnotations(map[string]string{annotationHash: "another"})
	now := metav1.Now()
	going.SetDeletionTimestamp(&now)
	for _, test := range []struct {
		name    string
		sibling *unstructured.Unstructured
		want    bool
	}{
		{"the same content", theirs, true}, {"other content", changed, false},
		{"ours, of another hash", ours, false}, {"on its way out", going, false},
	} {
		if got := asksFor(test.sibling, asked, "h"); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if asked.GetAnnotations()[annotationHash] != "h" {
		t.Error("what is asked was changed")
	}
}

func TestRetention(t *testing.T) {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	for _, test := range []struct {
		name   string
		policy v1alpha1.RetentionPolicy
		ends   []metav1.ConditionStatus // newest first
		gone   []string
	}{
		{"of each end", v1alpha1.RetentionPolicy{MaxFailedRuns: 1, MaxSuccessfulRuns: 2},
			[]metav1.ConditionStatus{"False", "True", "Unknown", "False", "True", "True", "Unknown"}, []string{"run-3", "run-5"}},
		{"nothing said", v1alpha1.RetentionPolicy{}, []metav1.ConditionStatus{
			"True", "True", "True", "True", "True", "True", "True", "True", "True", "True", "True"}, []string{"run-10"}},
		{"room for more", v1alpha1.RetentionPolicy{MaxFailedRuns: 5, MaxSuccessfulRuns: 5}, []metav1.ConditionStatus{"True", "False"}, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []*unstructured.Unstructured
			var stored []runtime.Object
			for i, status := range test.ends {
				object := sibling(fmt.Sprintf("run-%d", i), 100-i, nil, status)
				all, stored = append(all, object), append(stored, object)
			}
			client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{pods: "PodList"}, stored...)
			of := &siblings{identity: &identity.Identity{Client: client}, mapping: &meta.RESTMapping{Resource: pods, Scope: meta.RESTScopeNamespace}, namespace: "ns"}
			deleted, err := of.retain(t.Context(), all, test.policy, succeeded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.gone, names(deleted)); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			left, err := client.Resource(pods).Namespace("ns").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(left.Items) != len(all)-len(test.gone) {
				t.Errorf("%d left (%v), want %d", len(left.Items), err, len(all)-len(test.gone))
			}
		})
	}
}

// TestSameValues : the API server writes JSON in its own way, which is no change.
func TestSameValues(t *testing.T) {
	of := func(raw string) map[string]apiextensionsv1.JSON {
		return map[string]apiextensionsv1.JSON{"x": {Raw: []byte(raw)}}
	}
	for _, test := range []struct {
		a, b map[string]apiextensionsv1.JSON
		want bool
	}{
		{of(`{"a":1,"b":"<"}`), of(`{ "b": "\u003c", "a": 1 }`), true},
		{of(`1`), of(`2`), false}, {of(`null`), nil, false}, {nil, map[string]apiextensionsv1.JSON{}, true},
	} {
		if got := sameValues(test.a, test.b); got != test.want {
			t.Errorf("sameValues(%s, %s) = %v", test.a, test.b, got)
		}
	}
}

// TestSiblingThatTheWatchHasNotShown: what is wanted changes and changes back before the watch has shown the sibling that
// was made in between. That one is the newest all the same, so that another is made.
func TestSiblingThatTheWatchHasNotShown(t *testing.T) {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	mapping := &meta.RESTMapping{Resource: pods, GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, Scope: meta.RESTScopeNamespace}
	cluster := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{pods: "PodList"})
	count := 0
	cluster.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		count++
		if create, ok := action.(clienttesting.CreateAction); ok {
			if object, ok := create.GetObject().(*unstructured.Unstructured); ok {
				object.SetName(fmt.Sprintf("run-%d", count))
				object.SetUID(types.UID(object.GetName()))
			}
		}
		return false, nil, nil
	})
	allowed := newAccess(nil, nil)
	allowed.allowed[pods] = true
	stamped := newStampedObjects(ownerLabels{}, cluster, nil, allowed, nil)
	informer, err := stamped.informer(pods) // it is never started, and so shows what the test says
	if err != nil {
		t.Fatal(err)
	}
	stamped.kinds[pods] = informer
	of := &siblings{stamped: stamped, identity: &identity.Identity{Client: cluster}, owner: "us", labels: map[string]string{"for": "demo"}, mapping: mapping, namespace: "ns"}
	for _, step := range []struct {
		image string
		shown bool // by the watch, at once
		made  bool
		want  []string
	}{
		{"a", true, true, []string{"run-1"}},
		{"b", false, true, []string{"run-2", "run-1"}},
		{"b", false, false, []string{"run-2", "run-1"}},
		{"a", false, true, []string{"run-3", "run-2", "run-1"}},
	} {
		wanted := sibling("", 0, nil, "Unknown")
		wanted.SetUID("")
		wanted.SetGenerateName("run-")
		wanted.Object["spec"] = map[string]any{"image": step.image}
		all, made, err := of.ensure(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, names(all)); diff != "" || made != step.made {
			t.Errorf("%s: made %v (-want +got):\n%s", step.image, made, diff)
		}
		if step.shown {
			if err := informer.GetIndexer().Add(all[0]); err != nil {
				t.Fatal(err)
			}
			stamped.ours(all[0])
		}
	}
}
