package dev

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/watch"
	"slipway.dev/slipway/internal/hint"
)

// loop follows the saves of each app until ctx ends, or until one cannot be followed any more.
func (s *session) loop(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range s.apps {
		group.Go(func() error { return a.loop(ctx) })
	}
	return group.Wait()
}

// loop runs, and runs again on every batch of changes, until ctx ends.
func (a *app) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, err := watch.Watch(ctx, a.Dir, watch.Options{Ignore: a.ownFiles(), Warn: func(text string) { a.progress.Warn("%s", text) }})
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range batches { // until the watching has ended, too
		}
	}()
	if a.fileElsewhere() {
		a.progress.Say("Changes of %s count from the next save in %s on", a.file, a.Dir)
	}
	return follow(ctx, batches, a.runOnce)
}

// runOnce is one run of the loop: whatever goes wrong is shown here.
func (a *app) runOnce(ctx context.Context, number int, files []string) {
	if len(files) > 0 {
		a.progress.Say("Run %d: %s", number, some(files))
	}
	report, err := a.run(ctx, number, files)
	if ctx.Err() != nil {
		return
	}
	if err := a.keep(a, report); err != nil {
		a.progress.Warn("%v", err)
	}
	if err != nil {
		a.showError(err)
	} else {
		a.forward.point(report.pod)
		a.showReady(report)
	}
	a.progress.Say("Watching %s; Ctrl-C ends", a.Dir)
}

func (a *app) showError(err error) {
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		a.progress.Say("%s", wrong)
	} else {
		a.progress.Say("%v", err)
	}
	for _, advice := range hint.Of(err) {
		a.progress.Say("Hint: %s", advice)
	}
}

func (a *app) showReady(r Report) {
	a.progress.Say("Ready in %.1fs", r.Seconds)
	if r.URL != "" {
		a.progress.Say("  %s", r.URL)
	}
	if text := a.forward.describe(); text != "" {
		a.progress.Say("  %s", text)
	}
}

// follow calls run, first with no files and then for each batch. A batch that comes during a run ends that run, and its
// files count as changed again in the next; runs never overlap. It returns ctx's error, and that there is nothing to
// follow any more is the same.
func follow(ctx context.Context, batches <-chan watch.Batch, run func(ctx context.Context, number int, files []string)) error {
	var files []string
	for number := 1; ; number++ {
		running, cancel := context.WithCancelCause(ctx)
		ended := make(chan struct{})
		go func(files []string) {
			defer close(ended)
			run(running, number, files)
		}(files)
		var (
			batch watch.Batch
			open  bool
			over  = false
		)
		select {
		case <-ended:
			over = true
			batch, open = <-batches
		case batch, open = <-batches:
		}
		cancel(errSuperseded)
		<-ended
		if !open {
			return ctx.Err()
		}
		if over {
			files = nil
		}
		files = slices.Compact(slices.Sorted(slices.Values(slices.Concat(files, batch.Files))))
	}
}

// some names the first of many files.
func some(files []string) string {
	const shown = 3
	if len(files) <= shown {
		return strings.Join(files, ", ")
	}
	return strings.Join(files[:shown], ", ") + ", ..."
}
