package dev

import (
	"context"
	"fmt"
	"time"
)

// A machine that sleeps makes clocks jump, and a time limit that counts the sleep would end a run for nothing. So time is
// counted in ticks: one that comes more than sleepAfter late counts as one tick.
const (
	limitTick  = time.Second
	sleepAfter = 5 * time.Second
)

// withLimit returns a context that ends with ErrTimeout when the machine has been awake for so long. slept is told of
// sleeps. The returned function frees what it holds, and waits until slept will not be called any more.
func withLimit(ctx context.Context, limit time.Duration, slept func(time.Duration)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	ticker, start := time.NewTicker(min(limitTick, limit)), time.Now() // now, as the machine may sleep before what follows begins
	go func() {
		defer close(ended)
		defer ticker.Stop()
		if countAwake(ctx, ticker.C, time.Now, start, limit, slept) {
			cancel(fmt.Errorf("%w (%s)", ErrTimeout, limit))
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-ended
	}
}

// countAwake returns true when the ticks since the start amount to the limit, and false when ctx ends before. What ticks
// carry is when they were due, which for the first one after a sleep is before it: the clock is asked instead.
func countAwake(ctx context.Context, ticks <-chan time.Time, clock func() time.Time, last time.Time, limit time.Duration, slept func(time.Duration)) bool {
	for awake := time.Duration(0); awake < limit; {
		select {
		case <-ctx.Done():
			return false
		case <-ticks:
			now := clock()
			passed := wallOrMonotonic(now, last)
			if passed > sleepAfter {
				slept(passed)
				passed = limitTick
			}
			awake, last = awake+passed, now
		}
	}
	return true
}

// wallOrMonotonic is the longer of the times that passed by the two clocks: on some systems the monotonic clock stands
// still while the machine sleeps, on others it does not.
func wallOrMonotonic(now, before time.Time) time.Duration {
	return max(now.Sub(before), now.Round(0).Sub(before.Round(0)))
}
