package controller

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

func TestHeldStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := types.NamespacedName{Namespace: "default", Name: "app"}
		h := newHeld()
		check := func(what string, wrote, open bool, want time.Duration) {
			t.Helper()
			if got := h.hold(owner, wrote, open); got != want {
				t.Errorf("%s: held for %v, want %v", what, got, want)
			}
		}
		check("nothing was stamped", false, true, 0)
		check("stamped, and it is known already how it is", true, false, 0)
		check("stamped", true, true, answerTime)
		time.Sleep(10 * time.Millisecond)
		check("the next stage, too", true, true, answerTime-10*time.Millisecond)
		check("woken by something else", false, true, answerTime-10*time.Millisecond)
		check("all have answered", false, false, 0)
		check("stamped again", true, true, answerTime)
		time.Sleep(answerTime)
		check("no answer in time, and stamped once more", true, true, 0)
		check("stamped again after that", true, true, answerTime)
		h.forget(owner)
		check("made anew", false, true, 0)
		if len(h.since) != 0 {
			t.Errorf("%d owners are remembered", len(h.since))
		}
	})
}

func TestStatusThatAwaits(t *testing.T) {
	stamped := func(names ...string) []v1alpha1.ResourceStatus {
		resources := []v1alpha1.ResourceStatus{{Name: "not stamped yet"}}
		for _, name := range names {
			resources = append(resources, v1alpha1.ResourceStatus{Name: name, StampedRef: &v1alpha1.StampedRef{APIVersion: "v1", Kind: "ConfigMap", Namespace: "default", Name: name}})
		}
		return resources
	}
	before := ownerOf(&v1alpha1.Workload{Status: v1alpha1.WorkloadStatus{OwnerStatus: v1alpha1.OwnerStatus{Resources: stamped("a", "b")}}})
	blueprint := *before.blueprint
	for _, test := range []struct {
		name      string
		ready     metav1.ConditionStatus
		resources []v1alpha1.ResourceStatus
		change    func(*outcome)
		want      bool
	}{
		{"the same objects", metav1.ConditionUnknown, stamped("a", "b"), nil, true},
		{"fewer objects", metav1.ConditionUnknown, stamped("b"), nil, true},
		{"an object that the status does not name", metav1.ConditionUnknown, stamped("a", "c"), nil, false},
		{"Ready", metav1.ConditionTrue, stamped("a", "b"), nil, false},
		{"not Ready", metav1.ConditionFalse, stamped("a", "b"), nil, false},
		{"an error", metav1.ConditionUnknown, stamped("a", "b"), func(o *outcome) { o.retry = errors.New("of the moment") }, false},
		{"another supply chain", metav1.ConditionUnknown, stamped("a", "b"), func(o *outcome) { o.blueprint.Name = "other" }, false},
	} {
		out := &outcome{blueprint: blueprint}
		out.status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: test.ready}}
		out.status.Resources = test.resources
		if test.change != nil {
			test.change(out)
		}
		if got := out.awaits(before); got != test.want {
			t.Errorf("%s: awaits = %t, want %t", test.name, got, test.want)
		}
	}
}
