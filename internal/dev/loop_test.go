package dev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/dev/watch"
)

// TestFollow has runs of one second each, and saves at the times given.
func TestFollow(t *testing.T) {
	const save = time.Second
	type event struct {
		at    time.Duration
		asked bool // instead of a save
	}
	tests := []struct {
		name   string
		events []event       // the nth one is of the file n
		retry  time.Duration // what the first run wants
		want   []string
	}{
		{"no save", nil, 0, []string{"1 [] done", "tended"}},
		{"a save after the run", []event{{2 * save, false}}, 0, []string{"1 [] done", "tended", "2 [1] done", "tended"}},
		{"a save during the run", []event{{save / 2, false}}, 0, []string{"1 [] superseded", "2 [1] done", "tended"}},
		{"two, the last one wins", []event{{2 * save, false}, {2*save + save/2, false}}, 0,
			[]string{"1 [] done", "tended", "2 [1] superseded", "3 [1 2] done", "tended"}},
		{"a key after the run", []event{{2 * save, true}}, 0, []string{"1 [] done", "tended", "2 [] key done", "tended"}},
		{"a key during a run of a save", []event{{2 * save, false}, {2*save + save/2, true}}, 0,
			[]string{"1 [] done", "tended", "2 [1] superseded", "3 [1] key done", "tended"}},
		{"an outage", nil, 3 * save, []string{"1 [] done", "tended", "2 [] again done", "tended"}},
		{"a save during the wait for another try", []event{{2 * save, false}}, 3 * save, []string{"1 [] done", "tended", "2 [1] done", "tended"}},
		{"a save during another try", []event{{4*save + save/2, false}}, 3 * save, []string{"1 [] done", "tended", "2 [] again superseded", "3 [1] done", "tended"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				batches, asked := make(chan watch.Batch), make(chan trigger)
				go func() {
					defer close(batches)
					start := time.Now()
					for i, event := range test.events {
						time.Sleep(event.at - time.Since(start))
						if event.asked {
							asked <- trigger{why: "key", fresh: true}
						} else {
							batches <- watch.Batch{Files: []string{fmt.Sprint(i + 1)}}
						}
					}
					time.Sleep(10 * time.Second)
					cancel()
				}()
				var got []string
				var running atomic.Int32
				run := func(ctx context.Context, number int, cause trigger) time.Duration {
					if running.Add(1) != 1 {
						t.Error("two at once")
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
					line := fmt.Sprintf("%d %v ", number, cause.files)
					if cause.why != "" {
						line += cause.why + " "
					}
					if (cause.why == "again") != cause.again || (cause.why == "key") != cause.fresh {
						t.Errorf("%+v", cause)
					}
					got = append(got, line+how)
					if number == 1 {
						return test.retry
					}
					return 0
				}
				tend := func(ctx context.Context) {
					if running.Add(1) != 1 {
						t.Error("tended while something runs")
					}
					defer running.Add(-1)
					<-ctx.Done()
					got = append(got, "tended")
				}
				err := follow(ctx, news{batches: batches, asked: asked}, duties{run: run, tend: tend})
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

// TestTheLastSaveWins saves at random moments, with runs that take different times: the last run is of the last save,
// and every save is the cause of a run.
func TestTheLastSaveWins(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			ctx, cancel := context.WithCancel(t.Context())
			batches := make(chan watch.Batch)
			const saves = 50
			var content, built atomic.Int32
			pauses := make([]time.Duration, saves)
			for i := range pauses {
				pauses[i] = time.Duration(random.IntN(400)) * time.Millisecond
			}
			go func() {
				defer close(batches)
				for i := range saves {
					time.Sleep(pauses[i])
					content.Store(int32(i + 1))
					batches <- watch.Batch{Files: []string{fmt.Sprint(i + 1)}}
				}
				time.Sleep(time.Minute)
				cancel()
			}()
			told := map[string]bool{}
			_ = follow(ctx, news{batches: batches}, duties{run: func(ctx context.Context, _ int, cause trigger) time.Duration {
				for _, file := range cause.files {
					told[file] = true
				}
				read := content.Load()
				select {
				case <-time.After(time.Duration(100+read%3*100) * time.Millisecond):
					built.Store(read)
				case <-ctx.Done():
				}
				return 0
			}, tend: func(ctx context.Context) { <-ctx.Done() }})
			if built.Load() != saves || len(told) != saves {
				t.Errorf("seed %d: the last run that was done is of save %d, and runs were told of %d; want %d", seed, built.Load(), len(told), saves)
			}
		})
	}
}

// TestFollowBegins has runs of one second each, of which only those between runs begin early.
func TestFollowBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		batches, expected, asked := make(chan watch.Batch), make(chan uint64, 1), make(chan trigger)
		var got []string
		var running atomic.Bool
		start := time.Now()
		say := func(format string, values ...any) {
			got = append(got, fmt.Sprintf("%3.1f ", time.Since(start).Seconds())+fmt.Sprintf(format, values...))
		}
		go func() {
			defer close(batches)
			at := func(seconds float64) { time.Sleep(time.Duration(seconds*float64(time.Second)) - time.Since(start)) }
			at(2)
			expected <- 1
			at(2.1)
			batches <- watch.Batch{Files: []string{"a"}, Mark: 1}
			at(2.5)
			expected <- 2 // during the run
			at(2.6)
			batches <- watch.Batch{Files: []string{"b"}, Mark: 2}
			at(5)
			expected <- 3
			at(5.1)
			asked <- trigger{why: "key"}
			at(8)
			expected <- 4
			at(8.1)
			batches <- watch.Batch{Files: []string{"c"}}
			at(12)
			cancel()
		}()
		_ = follow(ctx, news{batches, expected, asked}, duties{
			run: func(ctx context.Context, number int, cause trigger) time.Duration {
				running.Store(true)
				defer running.Store(false)
				say("run %d %v mark %d", number, cause.files, cause.mark)
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				return 0
			},
			tend: func(ctx context.Context) { <-ctx.Done() },
			begin: func(_ context.Context, mark uint64) {
				if running.Load() {
					t.Error("begun while something runs")
				}
				say("begin %d", mark)
			},
		})
		want := []string{
			"0.0 run 1 [] mark 0", "2.0 begin 1", "2.1 run 2 [a] mark 1", "2.6 run 3 [a b] mark 2",
			"5.0 begin 3", "5.1 run 4 [] mark 0", "8.0 begin 4", "8.1 run 5 [c] mark 0",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAPushOutlivesItsRunAWhile(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause error
		want  time.Duration
	}{
		{"superseded", errSuperseded, 3 * time.Second},
		{"the user ends it", context.Canceled, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				longer, free := outlive(ctx, time.Second)
				defer free()
				time.AfterFunc(2*time.Second, func() { cancel(test.cause) })
				<-longer.Done()
				if took := time.Since(start); took != test.want || !errors.Is(context.Cause(longer), test.cause) {
					t.Errorf("it ended after %v with %v", took, context.Cause(longer))
				}
			})
		})
	}
}
