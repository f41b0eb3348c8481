package controller

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

var things = schema.GroupVersionResource{Resource: "things"}

// TestOursWakesNobody : what the watch shows of our last write is no news, and what came before or after it is.
func TestOursWakesNobody(t *testing.T) {
	object := func(version string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetUID("1")
		o.SetResourceVersion(version)
		return o
	}
	s := newStampedObjects(ownerLabels{}, nil, nil, nil, nil)
	informer, err := s.informer(things)
	if err != nil {
		t.Fatal(err)
	}
	s.kinds[things] = informer
	if s.ours(object("10")) {
		t.Error("what was never written is ours")
	}
	s.wrote(object("10"), "hash", things)
	for _, test := range []struct {
		version    string
		ours, kept bool
	}{{"9", false, true}, {"10", true, false}, {"11", false, false}} {
		if got := s.ours(object(test.version)); got != test.ours {
			t.Errorf("version %s: ours = %t", test.version, got)
		}
		if kept := s.written["1"].object != nil; kept != test.kept {
			t.Errorf("version %s: the written object is kept = %t", test.version, kept)
		}
	}
}

// TestOwnedBy : what was just written counts before the watch shows it, and what was just deleted does not count until
// the watch shows why it is still there.
func TestOwnedBy(t *testing.T) {
	yes := true
	object := func(uid types.UID, version string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetUID(uid)
		o.SetName(string(uid))
		o.SetResourceVersion(version)
		o.SetOwnerReferences([]metav1.OwnerReference{{UID: "owner", Controller: &yes}})
		return o
	}
	s := newStampedObjects(ownerLabels{}, nil, nil, nil, nil)
	informer, err := s.informer(things)
	if err != nil {
		t.Fatal(err)
	}
	s.kinds[things] = informer
	shown := func(o *unstructured.Unstructured) {
		t.Helper()
		if err := informer.GetIndexer().Add(o); err != nil {
			t.Fatal(err)
		}
		s.ours(o)
	}
	check := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, o := range s.ownedBy("owner") {
			got = append(got, o.GetName()+" "+o.GetResourceVersion())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	s.wrote(object("a", "10"), "hash", things)
	check("written", "a 10")
	shown(object("a", "10"))
	check("shown", "a 10")
	if len(s.pending) != 0 {
		t.Errorf("%v are waited for", s.pending)
	}
	refused := errors.New("no")
	if err := s.delete(object("a", "10"), things, func() error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	check("not deleted", "a 10")
	if err := s.delete(object("a", "10"), things, func() error { return nil }); err != nil {
		t.Error(err)
	}
	check("deleted")
	going := object("a", "11")
	now := metav1.Now()
	going.SetDeletionTimestamp(&now)
	shown(going)
	check("on its way", "a 11")

	s.wrote(object("b", "12"), "hash", things)
	if err := s.delete(object("b", "12"), things, func() error { return nil }); err != nil {
		t.Error(err)
	}
	check("deleted before it was shown", "a 11")
	kept := object("c", "13")
	kept.SetFinalizers([]string{"x.dev/y"})
	shown(kept)
	if err := s.delete(kept, things, func() error { return nil }); err != nil {
		t.Error(err)
	}
	if got := len(s.ownedBy("owner")); got != 2 {
		t.Errorf("%d are owned while a finalizer keeps one", got)
	}
}

// TestWhatIsKnownOfUnwatchedObjects : it is kept as long as the status of the owner names the object, and no longer.
func TestWhatIsKnownOfUnwatchedObjects(t *testing.T) {
	s := newStampedObjects(ownerLabels{name: "owner"}, nil, nil, nil, nil)
	object := func(owner, name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Thing"}}
		o.SetUID(types.UID(owner + name))
		o.SetNamespace("here")
		o.SetName(name)
		o.SetLabels(map[string]string{"owner": owner})
		return o
	}
	known := func(want ...string) {
		t.Helper()
		var got []string
		for _, owner := range []string{"a", "b"} {
			for _, name := range []string{"one", "two"} {
				if s.settled(object(owner, name), "hash") {
					got = append(got, owner+" "+name)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("known (-want +got):\n%s", diff)
		}
	}
	for _, owner := range []string{"a", "b"} {
		for _, name := range []string{"one", "two"} {
			if s.wrote(object(owner, name), "hash", things) {
				t.Error("what is not watched will be shown")
			}
		}
	}
	known("a one", "a two", "b one", "b two")
	a, b := types.NamespacedName{Namespace: "here", Name: "a"}, types.NamespacedName{Namespace: "here", Name: "b"}
	s.keepOnly(a, []v1alpha1.ResourceStatus{{Name: "nothing"}, {StampedRef: &v1alpha1.StampedRef{APIVersion: "v1", Kind: "Thing", Namespace: "here", Name: "two"}}})
	known("a two", "b one", "b two")
	if err := s.delete(object("b", "one"), things, func() error { return errors.New("no") }); err == nil {
		t.Error("the error of the deletion is lost")
	}
	s.keepOnly(b, nil)
	s.keepOnly(a, nil)
	known()
	if left := len(s.written) + len(s.pending) + len(s.looked); left > 0 {
		t.Errorf("%d notes are left of owners that are gone", left)
	}
}

// TestRefused : after some quick tries it goes on, as what is forbidden is not always a matter of roles.
func TestRefused(t *testing.T) {
	w := newWaiting()
	owner, account := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	w.uses(owner, account)
	for range 2 {
		for _, want := range afterRefusal {
			if got := w.refused(owner); got != want {
				t.Errorf("pause %s, want %s", got, want)
			}
		}
		for range 2 {
			if got := w.refused(owner); got != afterRefusals {
				t.Errorf("pause %s, want %s", got, afterRefusals)
			}
		}
		w.changed(func(changed types.NamespacedName) bool { return changed == account })
	}
}
