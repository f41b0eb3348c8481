package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestEventsGiveWay: to a crowd, for a while.
func TestEventsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &teller{}
		took := func() time.Duration {
			begin := time.Now()
			events.giveWay(t.Context())
			return time.Since(begin)
		}
		var ends []func()
		for range crowd - 1 {
			ends = append(ends, events.looking())
		}
		if waited := took(); waited != 0 {
			t.Errorf("waits %v for a few", waited)
		}
		ends = append(ends, events.looking())
		if waited := took(); waited != giveWay {
			t.Errorf("waits %v for a crowd, want %v", waited, giveWay)
		}
		go func() {
			time.Sleep(giveWay / 2)
			for _, end := range ends {
				end()
			}
		}()
		if waited := took(); waited < giveWay/2 || waited > giveWay/2+lookAround {
			t.Errorf("waits %v for a crowd that is gone after %v", waited, giveWay/2)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	events := &teller{}
	for range crowd {
		events.looking()
	}
	events.giveWay(ctx) // returns
}
