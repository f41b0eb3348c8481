package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestOursWakesNobody : what the watch shows of our last write is no news, and what came before or after it is.
func TestOursWakesNobody(t *testing.T) {
	object := func(version string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetUID("1")
		o.SetResourceVersion(version)
		return o
	}
	s := newStampedObjects(ownerLabels{}, nil, nil, nil)
	if s.ours(object("10")) {
		t.Error("what was never written is ours")
	}
	s.wrote(object("10"), "hash")
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
