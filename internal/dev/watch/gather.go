package watch

import (
	"context"
	"maps"
	"slices"
	"time"
)

// DefaultQuiet is how long it must be quiet after the save of one file. What an editor does for a save, such as writing
// another file, renaming it and setting its mode, is done in a few milliseconds.
const DefaultQuiet = 25 * time.Millisecond

const (
	// mostQuiet is how many times the quiet time of one file a burst must at most be quiet.
	mostQuiet = 10
	// calm is how long after a batch a change is one by itself, and not one more of a row.
	calm = time.Second
	// longestBurst is after what time a batch is made while it is not quiet at all.
	longestBurst = 2 * time.Second
	// recheck is how often it is looked whether git, or whoever took the directory away, has come to an end.
	recheck = 50 * time.Millisecond
)

// ledger knows what really changed.
type ledger interface {
	update(touched []string)
	changed() []string // since take
	take()
}

// gatherer makes batches of touches. Time is all that it decides about.
type gatherer struct {
	quiet   time.Duration // after one file
	ledger  ledger
	pending map[string]bool // touched since the ledger last looked
	first   time.Time       // when the first of those was
	last    time.Time       // when anything was last touched
	offered time.Time       // when there last was a new batch
	row     int             // how many bursts came without a calm between them
	overdue bool            // whether the batch that is offered stays so although it is not quiet
	waited  bool            // whether git, or whoever took the directory away, was waited for
}

// gather collects touched paths until it has been quiet, and offers what really changed as a batch, once occupied, which
// is told since when nothing happened, says no. While nobody takes it, it grows. It closes batches when touched is
// closed, and after ctx ends offers nothing more.
func gather(ctx context.Context, touched <-chan []string, batches chan<- Batch, quiet time.Duration, l ledger, occupied func(idle time.Duration) bool) {
	defer close(batches)
	g := &gatherer{quiet: quiet, ledger: l, pending: map[string]bool{}}
	timer := time.NewTimer(quiet)
	timer.Stop()
	defer timer.Stop()
	var (
		offer chan<- Batch // nil while there is nothing to take
		batch Batch
	)
	for {
		select {
		case paths, ok := <-touched:
			if !ok {
				return
			}
			timer.Reset(g.touch(paths, time.Now()))
			if !g.overdue {
				offer = nil // it is not quiet any more
			}
		case <-timer.C:
			if occupied(time.Since(g.last)) {
				g.waited = true
				timer.Reset(recheck)
				continue
			}
			if batch.Files = g.look(time.Now()); len(batch.Files) > 0 {
				offer = batches
			}
		case offer <- batch:
			g.ledger.take()
			g.overdue, offer = false, nil
		case <-ctx.Done():
			for range touched { // until the source has ended, too
			}
			return
		}
	}
}

// touch notes paths and returns for how long it must be quiet from now on: the longer, the more files there are, and
// the more bursts there have been in a row.
func (g *gatherer) touch(paths []string, now time.Time) time.Duration {
	if len(g.pending) == 0 {
		g.first = now
		if now.Sub(g.offered) < calm {
			g.row++
		} else {
			g.row = 0
		}
	}
	g.last = now
	for _, path := range paths {
		g.pending[path] = true
	}
	times := min(len(g.pending), mostQuiet) << min(g.row, 4)
	if g.pending[everything] {
		times = mostQuiet
	}
	return max(0, min(time.Duration(min(times, mostQuiet))*g.quiet, g.first.Add(longestBurst).Sub(now)))
}

// look returns what changed.
func (g *gatherer) look(now time.Time) []string {
	g.overdue = g.overdue || now.Sub(g.first) >= longestBurst
	if g.waited || g.overdue {
		// The files are further than the events that tell of them: all that happened is to be one batch.
		g.pending[everything] = true
	}
	g.waited = false
	g.ledger.update(slices.Sorted(maps.Keys(g.pending)))
	clear(g.pending)
	changed := g.ledger.changed()
	if len(changed) > 0 {
		g.offered = now
	}
	return changed
}
