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

// likely is after what part of the quiet time a single save is expected to be over: nearly all are, and where more comes
// it is expected again.
const likely = 5

// mostOfSave is how many paths the save of one file touches at most: editors write, probe and keep others beside it.
const mostOfSave = 4

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
	update(touched []string) (news bool) // whether any of it is not what it was when it was last looked at
	changed() []string                   // since take
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
	marks   uint64          // how many batches were expected
	mark    uint64          // of what is there now; 0 where it is not expected to be a batch
}

// gather collects touched paths until it has been quiet, and offers what really changed as a batch, once occupied, which
// is told since when nothing happened, says no. While nobody takes it, it grows. It closes batches when touched is
// closed, and after ctx ends offers nothing more. Of what seems to be a single save it tells o.Expect before the quiet
// time is over.
func gather(ctx context.Context, touched <-chan []string, batches chan<- Batch, o Options, l ledger, occupied func(idle time.Duration) bool) {
	defer close(batches)
	g := &gatherer{quiet: o.Quiet, ledger: l, pending: map[string]bool{}}
	timer, early := time.NewTimer(o.Quiet), time.NewTimer(o.Quiet)
	for _, one := range []*time.Timer{timer, early} {
		one.Stop()
		defer one.Stop()
	}
	var (
		offer chan<- Batch // nil while there is nothing to take
		batch Batch
	)
	note := func(paths []string) {
		timer.Reset(g.touch(paths, time.Now()))
		early.Reset(o.Quiet / likely)
		if !g.overdue {
			offer = nil // it is not quiet any more
		}
	}
	for {
		select {
		case paths, ok := <-touched:
			if !ok {
				return
			}
			note(paths)
		case <-early.C:
			if g.single() && !occupied(time.Since(g.last)) {
				g.marks++
				g.mark = g.marks
				o.Expect(g.mark)
			}
		case <-timer.C:
			select {
			case paths, ok := <-touched: // which came while something else was looked at
				if !ok {
					return
				}
				if note(paths); time.Since(g.first) < longestBurst {
					continue
				}
			default:
			}
			if occupied(time.Since(g.last)) {
				g.waited = true
				timer.Reset(recheck)
				continue
			}
			if batch = g.look(time.Now()); len(batch.Files) > 0 {
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
	g.last, g.mark = now, 0
	for _, path := range paths {
		g.pending[path] = true
	}
	times := min(len(g.pending), mostQuiet) << min(g.row, 4)
	if g.pending[everything] {
		times = mostQuiet
	}
	return max(0, min(time.Duration(min(times, mostQuiet))*g.quiet, g.first.Add(longestBurst).Sub(now)))
}

// single says whether what was touched is one save, as far as it is known yet.
func (g *gatherer) single() bool {
	if len(g.pending) == 0 || len(g.pending) > mostOfSave || g.pending[everything] || g.row > 0 || g.waited || g.overdue {
		return false
	}
	g.ledger.update(slices.Collect(maps.Keys(g.pending)))
	return len(g.ledger.changed()) == 1
}

// look returns what changed.
func (g *gatherer) look(now time.Time) Batch {
	g.overdue = g.overdue || now.Sub(g.first) >= longestBurst
	if g.waited || g.overdue {
		// The files are further than the events that tell of them: all that happened is to be one batch.
		g.pending[everything] = true
	}
	g.waited = false
	if g.ledger.update(slices.Sorted(maps.Keys(g.pending))) {
		g.mark = 0 // there was a change that nobody told of, or not yet
	}
	clear(g.pending)
	changed := g.ledger.changed()
	if len(changed) > 0 {
		g.offered = now
	}
	return Batch{Files: changed, Mark: g.mark}
}
