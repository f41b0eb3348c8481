package dev

import (
	"testing"
	"testing/synctest"
	"time"

	"slipway.dev/slipway/internal/tree"
)

func TestCollectsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b beside
		for _, step := range []struct {
			after time.Duration
			end   bool // the last one ends before
			want  bool
		}{{0, false, true}, {collectEvery, false, false}, {0, true, true}, {time.Minute, true, false}, {collectEvery, false, true}} {
			time.Sleep(step.after)
			if step.end {
				b.endCollecting()
			}
			if got := b.mayCollect(time.Now()); got != step.want {
				t.Errorf("after %s more, ended %t: %t, want %t", step.after, step.end, got, step.want)
			}
		}
	})
}

func TestAttachesEachSourceOnce(t *testing.T) {
	var b beside
	clean, dirty := attached{image: "a"}, attached{image: "a", revision: tree.Revision{Dirty: true}}
	if !b.first(clean) || b.first(clean) || !b.first(dirty) {
		t.Error("a source is not attached exactly once")
	}
	b.again(clean)
	if !b.first(clean) || b.first(dirty) {
		t.Error("what could not be attached is not tried again, alone")
	}
}
