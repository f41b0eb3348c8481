package dev

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/dev/watch"
)

// TestFollow has runs of one second each, and saves at the times given.
func TestFollow(t *testing.T) {
	tests := []struct {
		name  string
		saves []time.Duration // the nth one is of the file n
		want  []string
	}{
		{"no save", nil, []string{"1 [] done"}},
		{"a save after the run", []time.Duration{2 * time.Second}, []string{"1 [] done", "2 [1] done"}},
		{"a save during the run", []time.Duration{500 * time.Millisecond}, []string{"1 [] superseded", "2 [1] done"}},
		{"two, the last one wins", []time.Duration{2 * time.Second, 2500 * time.Millisecond}, []string{"1 [] done", "2 [1] superseded", "3 [1 2] done"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				batches := make(chan watch.Batch)
				go func() {
					defer close(batches)
					start := time.Now()
					for i, at := range test.saves {
						time.Sleep(at - time.Since(start))
						batches <- watch.Batch{Files: []string{fmt.Sprint(i + 1)}}
					}
					time.Sleep(10 * time.Second)
					cancel()
				}()
				var got []string
				var running atomic.Int32
				err := follow(ctx, batches, func(ctx context.Context, number int, files []string) {
					if running.Add(1) != 1 {
						t.Error("two runs at once")
					}
					defer running.Add(-1)
					how := "done"
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
						how = "ended"
						if errors.Is(context.Cause(ctx), errSuperseded) {
							how = "superseded"
						}
						time.Sleep(100 * time.Millisecond) // cleaning up takes a moment
					}
					got = append(got, fmt.Sprintf("%d %v %s", number, files, how))
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
			})
		})
	}
}
