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
	again   bool // whether the run before had ended with the very same
}

// halt notes where a run ended that did not arrive.
func halt(goal target, err error) *halted {
	h := &halted{goal: goal, stage: "pod", message: err.Error()}
	if failed := (*ChainError)(nil); errors.As(err, &failed) {
		h.stage, h.message = failed.Stage, failed.Message
	}
	return h
}

// after compares it with where the run before ended; either may be nil, for one that did not end so.
func (h *halted) after(before *halted) {
	if h != nil && before != nil {
		h.again = h.stage == before.stage && h.message == before.message
	}
}

// mended says in words what has become better since; "" when nothing has. What a stage says for a moment must not begin
// runs without end: after a second run that ended with the same, the stage must be done. A pod that crashes is started
// again and again, so of pods only those count that are there to stay.
func (h *halted) mended(st state) string {
	if st.done {
		return "all is ready by now"
	}
	if h.stage == "pod" || h.stage == "apply" {
		return ""
	}
	done := slices.ContainsFunc(st.stages, func(one stage) bool { return one.name == h.stage && one.done })
	if done || !h.again && (st.problem == nil || st.problem.message != h.message) {
		return h.stage + " goes on"
	}
	return ""
}

// mendedGrace is how long something must have become better before it counts.
const mendedGrace = time.Second

// awaitMended asks for another run when what a run ended with is put right in the cluster.
func (a *app) awaitMended(ctx context.Context, h *halted) {
	changed, unsubscribe := a.observer.subscribe()
	defer unsubscribe()
	var due <-chan time.Time
	for {
		why := ""
		if since, _, _ := a.reach.away(); since.IsZero() {
			if now, err := a.observer.see(); err == nil {
				a.observer.followDelivery(now.workload)
				why = h.mended(assess(h.goal, now))
			}
		}
		switch {
		case why == "":
			due = nil
		case due == nil:
			due = time.After(mendedGrace)
		}
		select {
		case <-due:
			a.ask(trigger{why: why})
			return
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
