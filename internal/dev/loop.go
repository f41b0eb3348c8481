package dev

import (
	"context"
	"errors"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/watch"
	"slipway.dev/slipway/internal/hint"
)

// loop runs, and runs again on every batch of changes, until ctx ends.
func (s *session) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, err := watch.Watch(ctx, s.Dir, watch.Options{Ignore: s.ownFiles(), Warn: func(text string) { s.Progress.Warn("%s", text) }})
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range batches { // until the watching has ended, too
		}
	}()
	if s.fileElsewhere() {
		s.Progress.Say("Changes of %s count from the next save in %s on", s.file, s.Dir)
	}
	return follow(ctx, batches, s.runOnce)
}

// runOnce is one run of the loop: whatever goes wrong is shown here.
func (s *session) runOnce(ctx context.Context, number int, files []string) {
	if len(files) > 0 {
		s.Progress.Say("Run %d: %s", number, some(files))
	}
	report, err := s.run(ctx, number, files)
	if ctx.Err() != nil {
		return
	}
	if err := s.keep(report); err != nil {
		s.Progress.Warn("%v", err)
	}
	if err != nil {
		s.showError(err)
	} else {
		s.forward.point(report.pod)
		s.showReady(report)
	}
	s.Progress.Say("Watching %s; Ctrl-C ends", s.Dir)
}

func (s *session) showError(err error) {
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		s.Progress.Say("%s", wrong)
	} else {
		s.Progress.Say("%v", err)
	}
	for _, advice := range hint.Of(err) {
		s.Progress.Say("Hint: %s", advice)
	}
}

func (s *session) showReady(r Report) {
	s.Progress.Say("Ready in %.1fs", r.Seconds)
	if r.URL != "" {
		s.Progress.Say("  %s", r.URL)
	}
	if text := s.forward.describe(); text != "" {
		s.Progress.Say("  %s", text)
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
