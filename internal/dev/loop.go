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
}

// and is both of them.
func (t trigger) and(other trigger) trigger {
	files := slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.files, other.files))))
	why := other.why
	if why == "" && len(files) == 0 {
		why = t.why
	}
	fresh := t.fresh || other.fresh
	return trigger{files: files, why: why, fresh: fresh, mended: other.mended && len(files) == 0 && !fresh}
}

// loop runs, and runs again on every batch of changes, until ctx ends.
func (a *app) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, err := watch.Watch(ctx, a.Dir, watch.Options{
		Ignore: a.noSource(), Also: []string{a.file}, Warn: func(text string) { a.progress.Warn("%s", text) },
	})
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range batches { // until the watching has ended, too
		}
	}()
	return follow(ctx, batches, a.asked, a.runOnce, a.tend)
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

// follow calls run, first with no files and then for each trigger: a batch of changes, or something that was asked. One
// that comes during a run ends that run, and its files count as changed again in the next; runs never overlap. Between
// runs, tend is called, and ended before the next. A run that returns a time is repeated after it. It returns ctx's
// error, and that there is nothing to follow any more is the same.
func follow(ctx context.Context, batches <-chan watch.Batch, asked <-chan trigger,
	run func(ctx context.Context, number int, cause trigger) time.Duration, tend func(ctx context.Context)) error {
	var cause trigger
	for number := 1; ; number++ {
		next, over, open := attend(ctx, batches, asked, func(ctx context.Context) time.Duration { return run(ctx, number, cause) }, tend)
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
func attend(ctx context.Context, batches <-chan watch.Batch, asked <-chan trigger,
	run func(context.Context) time.Duration, tend func(context.Context)) (next trigger, over, open bool) {
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
			tend(running)
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
		case batch, open := <-batches:
			return trigger{files: batch.Files}, over || len(ended) > 0, open
		case next := <-asked:
			return next, over || len(ended) > 0, true
		case <-ctx.Done():
			return trigger{}, over, false
		}
	}
}
