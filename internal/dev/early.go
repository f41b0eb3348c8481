package dev

import (
	"context"
	"sync/atomic"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/tree"
)

// mostAhead is of how many files a source is at most that is built before it is certain that the save is over: the run
// that follows lists it again, and has to wait for the first time. It takes some 5 ms.
const mostAhead = 2000

// early is a build that was begun before its run, or what is learnt between the runs. The run takes over its place among the
// builds that may be under way at once; where none comes, the place is free again when the build has ended.
type early struct {
	builds chan struct{}
	taken  atomic.Bool // by the run, or given back
}

// release gives back the place, unless it was taken over.
func (e *early) release() {
	if e != nil && e.taken.CompareAndSwap(false, true) {
		<-e.builds
	}
}

// take takes over the place, and says whether it was still there.
func (e *early) take() bool { return e != nil && e.taken.CompareAndSwap(false, true) }

// begin begins to build what was just saved, before it is certain that the save is over. What comes of it is up to the run
// with this mark.
func (a *app) begin(ctx context.Context, mark uint64) {
	builder, can := a.Builder.(build.Beginner)
	if !can || !builder.Begins() || a.fromSource || a.size > mostAhead {
		return // the builder of a chain that starts at source has other orders than this one
	}
	a.lead(func() <-chan struct{} {
		source, err := a.readSource(ctx)
		if err != nil {
			return nil // the run will tell
		}
		request := a.request(a.name, source)
		request.Mark = mark
		return builder.Begin(ctx, request)
	})
}

// learn has the builder learn from the last build, if it can, until the next one begins. That takes a place as a build does.
func (a *app) learn(ctx context.Context) {
	builder, can := a.Builder.(build.Learner)
	if !can || a.fromSource || a.Once {
		return // the builder of a chain that starts at source may be at work beside the runs
	}
	a.lead(func() <-chan struct{} { return builder.Learn(ctx) })
}

// lead does what the builder does between the runs, if there is a place for it.
func (a *app) lead(start func() (ended <-chan struct{})) {
	a.early.release() // what was begun before ends now
	a.early = nil
	select {
	case a.builds <- struct{}{}:
	default:
		return
	}
	begun := &early{builds: a.builds}
	ended := start()
	if ended == nil {
		begun.release()
		return
	}
	a.early = begun
	go func() {
		<-ended
		begun.release()
	}()
}

// request is what a builder is asked for.
func (a *app) request(name string, source *tree.Tree) build.Request {
	return build.Request{Dir: a.Dir, Source: source, Name: name, Platform: a.around.platform, Main: a.Main, Registry: a.around.registry, Mark: a.mark}
}
