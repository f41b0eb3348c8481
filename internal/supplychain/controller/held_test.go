package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
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
