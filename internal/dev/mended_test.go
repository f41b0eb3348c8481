package dev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/dev/watch"
)

func TestMended(t *testing.T) {
	failed := func(stage, message string) error { return &ChainError{Stage: stage, Message: message} }
	tester := func(done bool, message string) state {
		st := state{stages: []stage{{name: "source-tester", done: done}, {name: "image-provider"}}}
		if message != "" {
			st.problem = &problem{stage: "source-tester", message: message}
		}
		return st
	}
	tests := []struct {
		name  string
		err   error
		begun selfBegun
		now   state
		want  string
	}{
		{"it is as it was", failed("source-tester", "no plan"), 0, tester(false, "no plan"), ""},
		{"it runs", failed("source-tester", "no plan"), 0, tester(false, ""), "source-tester goes on"},
		{"it has another trouble", failed("source-tester", "no plan"), 0, tester(false, "red"), "source-tester goes on"},
		{"it runs, after a run that this began", failed("source-tester", "no plan"), 1, tester(false, ""), ""},
		{"it is done this time", failed("source-tester", "no plan"), 1, tester(true, ""), "source-tester goes on"},
		{"it says something else, after a run that this began", failed("source-tester", "port 4711 is taken"), 1, tester(false, "port 4712 is taken"), ""},
		{"a pod is started again", failed("pod", "it crashed"), 0, tester(true, ""), ""},
		{"a pod stays", failed("pod", "it crashed"), 0, state{done: true}, "all is ready by now"},
		{"it took too long", errors.New("waiting for pods"), 0, tester(true, ""), ""},
		{"it took too long, and is there", errors.New("waiting for pods"), 0, state{done: true}, "all is ready by now"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := halt(goal, test.err, test.begun)
			if got := h.mended(test.now); got != test.want {
				t.Errorf("mended = %q, want %q", got, test.want)
			}
		})
	}
}

// TestRunsThatNobodyAskedFor lets every run fail after a second, in a cluster in which what it failed with always seems to
// be put right, for an hour; a file is saved after half of it. The runs become rare, and those after the save begin anew.
func TestRunsThatNobodyAskedFor(t *testing.T) {
	failed := func(stage, message string) error { return &ChainError{Stage: stage, Message: message} }
	stages := func(done ...string) (st state) {
		for _, name := range []string{"source-tester", "image-provider"} {
			st.stages = append(st.stages, stage{name: name, done: slices.Contains(done, name)})
		}
		return st
	}
	tests := []struct {
		name string
		end  func(number int) error
		now  func(number int) state
		rare bool // or none at all, from the second on
	}{
		{
			"the message is another each time",
			func(number int) error { return failed("source-tester", fmt.Sprintf("port %d is taken", number)) },
			func(int) state { return stages() },
			false,
		},
		{
			"two stages take turns",
			func(number int) error { return failed([]string{"source-tester", "image-provider"}[number%2], "no") },
			func(number int) state { return stages([]string{"source-tester", "image-provider"}[number%2]) },
			true,
		},
		{
			"the cluster looks done",
			func(int) error { return errors.New("reading deployment a: forbidden") },
			func(int) state { return state{done: true} },
			true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				batches, asked := make(chan watch.Batch), make(chan trigger)
				go func() {
					time.Sleep(30*time.Minute + time.Millisecond) // so that nothing else is at that moment
					batches <- watch.Batch{Files: []string{"a.go"}}
				}()
				var (
					begun  selfBegun
					h      *halted
					number int
					ended  time.Time
					pauses []time.Duration // before the runs that nobody asked for, since the first run or the save
				)
				check := func(when string) {
					t.Helper()
					want := []time.Duration{time.Second}
					if test.rare {
						want = append(want, 2*time.Second, 4*time.Second, 8*time.Second, 16*time.Second, 32*time.Second, time.Minute, time.Minute)
						if len(pauses) < len(want) || len(pauses) > 40 {
							t.Fatalf("%s: %d runs began by themselves in half an hour: %v", when, len(pauses), pauses)
						}
						pauses = pauses[:len(want)]
					}
					if diff := cmp.Diff(want, pauses); diff != "" {
						t.Errorf("%s: pauses (-want +got):\n%s", when, diff)
					}
					pauses = nil
				}
				_ = follow(ctx, news{batches: batches, asked: asked}, duties{run: func(ctx context.Context, n int, cause trigger) time.Duration {
					if len(cause.files) > 0 {
						check("before the save")
					} else if n > 1 {
						pauses = append(pauses, time.Since(ended))
					}
					begun.begin(cause)
					time.Sleep(time.Second)
					number, ended = n, time.Now()
					h = halt(goal, test.end(n), begun)
					return 0
				}, tend: func(ctx context.Context) {
					if next, ok := h.await(ctx, nil, func() (state, bool) { return test.now(number), true }); ok {
						select {
						case asked <- next:
						case <-ctx.Done():
						}
					}
				}})
				check("after the save")
			})
		})
	}
}

func TestWhatCountsAsBegunByItself(t *testing.T) {
	mended := trigger{why: "source-tester goes on", mended: true}
	var begun selfBegun
	for _, step := range []struct {
		name  string
		cause trigger
		want  selfBegun
	}{
		{"the first run", trigger{}, 0},
		{"mended", trigger{}.and(mended), 1},
		{"mended once more", trigger{}.and(mended), 2},
		{"repeated for an outage", trigger{again: true, why: "again"}, 2},
		{"a save", trigger{}.and(trigger{files: []string{"a"}}), 0},
		{"mended", trigger{}.and(mended), 1},
		{"a save that something mended overtakes", trigger{files: []string{"a"}}.and(mended), 0},
		{"mended", trigger{}.and(mended), 1},
		{"a key", trigger{}.and(trigger{why: "r was pressed", fresh: true}), 0},
	} {
		begun.begin(step.cause)
		if begun != step.want {
			t.Errorf("%s: %d, want %d", step.name, begun, step.want)
		}
	}
}
