package watch

import (
	"context"
	"maps"
	"slices"
	"time"
)

// gather collects touched paths until none came for the quiet time, and offers those that really changed as a batch.
// While nobody takes it, it grows. It closes batches when touched is closed, and after ctx ends offers nothing more.
func gather(ctx context.Context, touched <-chan []string, batches chan<- Batch, quiet time.Duration, changed func([]string) []string) {
	defer close(batches)
	var (
		pending = map[string]bool{} // touched since the last quiet time
		ready   = map[string]bool{} // changed, and not yet taken
		timer   = time.NewTimer(quiet)
		offer   chan<- Batch // nil while there is nothing to take
	)
	timer.Stop()
	defer timer.Stop()
	for {
		batch := Batch{Files: slices.Sorted(maps.Keys(ready))}
		select {
		case paths, ok := <-touched:
			if !ok {
				return
			}
			for _, path := range paths {
				pending[path] = true
			}
			timer.Reset(quiet)
			offer = nil // it is not quiet any more
		case <-timer.C:
			for _, path := range changed(slices.Sorted(maps.Keys(pending))) {
				ready[path] = true
			}
			clear(pending)
			if len(ready) > 0 {
				offer = batches
			}
		case offer <- batch:
			clear(ready)
			offer = nil
		case <-ctx.Done():
			for range touched { // until the source has ended, too
			}
			return
		}
	}
}
