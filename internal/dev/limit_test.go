package dev

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimeAsleepDoesNotCount(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	ticks := make(chan time.Time, 20)
	for i := range 10 {
		ticks <- start.Add(time.Duration(i+1) * time.Second) // when it is due: the sleep shows only in the clock
	}
	at, seen := start, 0
	clock := func() time.Time {
		at = at.Add(time.Second)
		if seen == 3 {
			at = at.Add(time.Hour)
		}
		seen++
		return at
	}
	var slept []time.Duration
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if !countAwake(ctx, ticks, clock, start, 9*time.Second, func(d time.Duration) { slept = append(slept, d) }) {
		t.Error("the limit was not reached")
	}
	if len(slept) != 1 || slept[0] != time.Hour+time.Second {
		t.Errorf("slept %v", slept)
	}
	if len(ticks) != 1 {
		t.Errorf("%d ticks were left, want 1", len(ticks))
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, free := withLimit(t.Context(), 90*time.Second, func(time.Duration) { t.Error("nobody slept") })
		defer free()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrTimeout) || time.Since(start) != 90*time.Second {
			t.Errorf("ended after %v with %v", time.Since(start), context.Cause(ctx))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, free := withLimit(t.Context(), time.Minute, func(time.Duration) {})
		free()
		if errors.Is(context.Cause(ctx), ErrTimeout) {
			t.Error("freeing it is no timeout")
		}
	})
}
