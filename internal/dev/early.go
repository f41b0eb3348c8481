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

// early is a build that was begun before its run. The run takes over its place among the builds that may be under way at
// once; where none comes, the place is free again when the build has ended.
type early struct {
	builds chan struct{}
	end    context.CancelFunc // of the build
	taken  atomic.Bool        // by the run, or given back
}

// release ends the build and gives back its place, unless that was taken over.
func (e *early) release() {
	if e != nil && e.taken.CompareAndSwap(false, true) {
		e.end()
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
	a.early.release() // what was begun before ends now
	a.early = nil
	select {
	case a.builds <- struct{}{}:
	default:
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	begun := &early{builds: a.builds, end: cancel}
	source, err := a.readSource(ctx)
	if err != nil {
		begun.release() // the run will tell
		return
	}
	request := a.request(a.name, source)
	request.Mark = mark
	ended := builder.Begin(ctx, request)
	if ended == nil {
		begun.release()
		return
	}
	a.early = begun
	go func() {
		<-ended
		cancel()
		begun.release()
	}()
}

// learn has the builder learn from the last build, if it can, until the next one begins. One app learns at a time, beside the
// builds of the others: it takes no place of theirs, and the others learn after their next run.
func (a *app) learn(ctx context.Context) {
	builder, can := a.Builder.(build.Learner)
	if !can || a.fromSource || a.Once {
		return // the builder of a chain that starts at source may be at work beside the runs
	}
	select {
	case a.lessons <- struct{}{}:
	default:
		return
	}
	ended := builder.Learn(ctx)
	if ended == nil {
		<-a.lessons
		return
	}
	go func() {
		<-ended
		<-a.lessons
	}()
}

// request is what a builder is asked for.
func (a *app) request(name string, source *tree.Tree) build.Request {
	return build.Request{Dir: a.Dir, Source: source, Name: name, Platform: a.around.platform, Main: a.Main, Registry: a.around.registry, Mark: a.mark}
}
