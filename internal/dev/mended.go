package dev

import (
	"context"
	"errors"
	"slices"
	"time"
)

// halted is a run that ended because of something in the cluster, where it may be put right without a save: somebody makes
// the object that was missing, or grants the right that was.
type halted struct {
	goal    target
	stage   string // that of the problem
	message string
	begun   selfBegun // as the run was
}

// halt notes where a run ended that did not arrive.
func halt(goal target, err error, begun selfBegun) *halted {
	h := &halted{goal: goal, stage: "pod", message: err.Error(), begun: begun}
	if failed := (*ChainError)(nil); errors.As(err, &failed) {
		h.stage, h.message = failed.Stage, failed.Message
	}
	return h
}

// selfBegun is how many runs in a row, the last one included, nobody asked for: each began because what the one before
// had ended with seemed to be put right.
type selfBegun int

// begin counts a run that begins. One that only repeats the run before counts as that did.
func (n *selfBegun) begin(cause trigger) {
	switch {
	case cause.again:
	case cause.mended:
		*n++
	default:
		*n = 0
	}
}

// mendedGrace is how long something must have become better before it counts; longestMendedPause is how long it may take,
// at most, from the end of a run to the next that begins so.
const (
	mendedGrace        = time.Second
	longestMendedPause = time.Minute
)

// pause is the shortest time from the end of such a run to the next. It doubles from run to run, so that a cluster that
// always seems better, and never is, is not kept busy.
func (n selfBegun) pause() time.Duration {
	return min(mendedGrace<<min(n, 6), longestMendedPause)
}

// mended says in words what has become better since; "" when nothing has. What a stage says for a moment must not begin
// runs without end: after a run that began so and failed, whatever it ended with, the stage must be done. A pod that
// crashes is started again and again, so of pods only those count that are there to stay.
func (h *halted) mended(st state) string {
	if st.done {
		return "all is ready by now"
	}
	if h.stage == "pod" || h.stage == "apply" {
		return ""
	}
	done := slices.ContainsFunc(st.stages, func(one stage) bool { return one.name == h.stage && one.done })
	if done || h.begun == 0 && (st.problem == nil || st.problem.message != h.message) {
		return h.stage + " goes on"
	}
	return ""
}

// await looks, now and whenever something changes, until what the run ended with is put right, and returns the trigger of
// the next run; ok is false when ctx ended first. look returns false while the cluster cannot be seen.
func (h *halted) await(ctx context.Context, changed <-chan struct{}, look func() (state, bool)) (next trigger, ok bool) {
	earliest := time.Now().Add(h.begun.pause())
	var due <-chan time.Time
	for {
		why := ""
		if now, seen := look(); seen {
			why = h.mended(now)
		}
		switch {
		case why == "":
			due = nil
		case due == nil:
			due = time.After(max(mendedGrace, time.Until(earliest)))
		}
		select {
		case <-due:
			return trigger{why: why, mended: true}, true
		case <-changed:
		case <-ctx.Done():
			return trigger{}, false
		}
	}
}

// awaitMended asks for another run when what a run ended with is put right in the cluster.
func (a *app) awaitMended(ctx context.Context, h *halted) {
	changed, unsubscribe := a.observer.subscribe()
	defer unsubscribe()
	next, ok := h.await(ctx, changed, func() (state, bool) {
		if since, _, _ := a.reach.away(); !since.IsZero() {
			return state{}, false
		}
		now, err := a.observer.see()
		if err != nil {
			return state{}, false
		}
		a.observer.followDelivery(now.workload)
		return assess(h.goal, now), true
	})
	if ok {
		a.ask(next)
	}
}
