package dev

import (
	"context"
	"errors"
	"slices"
	"time"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/watch"
	"slipway.dev/slipway/internal/hint"
)

// trigger is what begins a run.
type trigger struct {
	files  []string // that were saved; none for the first run
	why    string   // in words, where it was no save
	fresh  bool     // whether what was built before must not be used again
	again  bool     // whether it only repeats the run before
	mended bool     // whether nobody asked for it: what the run before ended with seems to be put right
	mark   uint64   // of the build that was begun for it, if that is still of these files; 0 is none
}

// and is both of them.
func (t trigger) and(other trigger) trigger {
	files := slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.files, other.files))))
	why := other.why
	if why == "" && len(files) == 0 {
		why = t.why
	}
	fresh := t.fresh || other.fresh
	both := trigger{files: files, why: why, fresh: fresh, mended: other.mended && len(files) == 0 && !fresh}
	if !fresh {
		both.mark = other.mark
	}
	return both
}

// loop runs, and runs again on every batch of changes, until ctx ends.
func (a *app) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	expected := make(chan uint64, 1)
	batches, err := watch.Watch(ctx, a.Dir, watch.Options{
		Ignore: a.noSource(), Also: []string{a.file}, Warn: func(text string) { a.progress.Warn("%s", text) },
		Expect: func(mark uint64) {
			select {
			case <-expected: // nobody has begun with the one before
			default:
			}
			expected <- mark
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range batches { // until the watching has ended, too
		}
	}()
	return follow(ctx, news{batches, expected, a.asked}, duties{a.runOnce, a.tend, a.begin})
}

// runOnce is one run of the loop: whatever goes wrong is shown here. It returns how long to wait before the same is
// tried again; 0 means until something is saved.
func (a *app) runOnce(ctx context.Context, number int, cause trigger) time.Duration {
	if len(cause.files) > 0 || cause.fresh {
		a.kept = nil // it was built from other files
	}
	if !cause.again {
		a.attempts = 0
	}
	a.mark, a.fresh = cause.mark, cause.fresh
	a.selfBegun.begin(cause)
	a.arrived, a.halted = target{}, nil
	a.view.Run(number, cause.files, cause.why)
	report, over, err := a.fast(ctx, number, cause)
	if !over {
		report, err = a.run(ctx, number, cause.files)
	}
	if ctx.Err() != nil {
		a.view.RunEnded(string(Superseded), "")
		return 0
	}
	if err := a.keep(a, report); err != nil {
		a.progress.Warn("%v", explain(err))
	}
	a.learn(ctx)
	if err == nil {
		a.forwards.point(report.pod)
		a.showAddresses(report)
		a.view.RunEnded(string(Passed), "")
		a.view.Watching(a.Dir)
		return 0
	}
	again := time.Duration(0)
	if transient(err) {
		again = backoff(a.attempts)
		a.attempts++
	}
	a.view.RunEnded(string(Failed), describe(err, again))
	a.view.Watching(a.Dir)
	return again
}

// describe is an error with its advice, as it is shown below a run.
func describe(err error, again time.Duration) string {
	err = explain(err)
	text := err.Error()
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		text = wrong.Error()
	}
	for _, advice := range hint.Of(err) {
		text += "\nHint: " + advice
	}
	if again > 0 {
		text += "\nTrying again in " + again.String()
	}
	return text
}

// showAddresses tells where the app answers.
func (a *app) showAddresses(r Report) {
	a.url = r.URL
	a.view.Addresses(a.addresses())
}

// news is what a loop hears of.
type news struct {
	batches  <-chan watch.Batch
	expected <-chan uint64 // marks of batches that are likely to come
	asked    <-chan trigger
}

// duties is what a loop does. No two of run and begin overlap, nor of run and tend.
type duties struct {
	// run is one run. It returns after what time it is to be repeated; 0 is never.
	run   func(ctx context.Context, number int, cause trigger) time.Duration
	tend  func(ctx context.Context)              // until ctx ends, to what a run has made
	begin func(ctx context.Context, mark uint64) // the build of the batch that is likely to come with this mark, and not its end
}

// follow calls run, first with no files and then for each trigger: a batch of changes, or something that was asked. One
// that comes during a run ends that run, and its files count as changed again in the next; runs never overlap. Between
// runs, tend is called, and ended before the next, and begin. It returns ctx's error, and that there is nothing to follow
// any more is the same.
func follow(ctx context.Context, n news, d duties) error {
	var cause trigger
	for number := 1; ; number++ {
		next, over, open := attend(ctx, n, d, func(ctx context.Context) time.Duration { return d.run(ctx, number, cause) })
		if !open {
			return ctx.Err()
		}
		if over && !next.again {
			cause = trigger{}
		}
		again := next.again
		cause = cause.and(next)
		cause.again = again && over
	}
}

// attend does a run and tends to what it made until the next trigger, which it returns, and whether the run was over by
// then. It returns when neither of them is under way any more.
func attend(ctx context.Context, n news, d duties, run func(context.Context) time.Duration) (next trigger, over, open bool) {
	running, cancel := context.WithCancelCause(ctx)
	var (
		ended = make(chan time.Duration, 1)
		idle  = make(chan struct{})
		retry <-chan time.Time
	)
	defer func() {
		cancel(errSuperseded)
		<-idle
	}()
	go func() {
		defer close(idle)
		ended <- run(running)
		if running.Err() == nil {
			d.tend(running)
		}
	}()
	for {
		select {
		case again := <-ended:
			over = true
			if again > 0 {
				timer := time.NewTimer(again)
				defer timer.Stop()
				retry = timer.C
			}
		case <-retry:
			return trigger{again: true, why: "again"}, true, true
		case mark := <-n.expected:
			if over {
				d.begin(ctx, mark)
			}
		case batch, open := <-n.batches:
			return trigger{files: batch.Files, mark: batch.Mark}, over || len(ended) > 0, open
		case next := <-n.asked:
			return next, over || len(ended) > 0, true
		case <-ctx.Done():
			return trigger{}, over, false
		}
	}
}
