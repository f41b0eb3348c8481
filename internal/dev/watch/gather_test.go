package watch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collected runs gather under a false clock: play sends the events, and everything taken is returned, with the time at
// which it came.
func collected(t *testing.T, changed func([]string) []string, play func(send func(...string))) map[time.Duration][]string {
	t.Helper()
	got := map[time.Duration][]string{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		touched, batches := make(chan []string), make(chan Batch)
		go gather(ctx, touched, batches, DefaultQuiet, changed)
		go func() {
			play(func(paths ...string) { touched <- paths })
			time.Sleep(time.Second)
			close(touched)
		}()
		for batch := range batches {
			got[time.Since(start)] = batch.Files
		}
	})
	return got
}

func all(paths []string) []string { return paths }

func TestGather(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name    string
		changed func([]string) []string
		play    func(send func(...string))
		want    map[time.Duration][]string
	}{
		{
			name: "one save", changed: all,
			play: func(send func(...string)) { send("b", "a") },
			want: map[time.Duration][]string{150 * ms: {"a", "b"}},
		},
		{
			name: "a burst is one batch, once it is quiet", changed: all,
			play: func(send func(...string)) {
				for range 5 {
					send("a")
					time.Sleep(100 * ms)
				}
			},
			want: map[time.Duration][]string{550 * ms: {"a"}},
		},
		{
			name: "two saves apart are two", changed: all,
			play: func(send func(...string)) { send("a"); time.Sleep(300 * ms); send("b") },
			want: map[time.Duration][]string{150 * ms: {"a"}, 450 * ms: {"b"}},
		},
		{
			name: "a touch is nothing", changed: func([]string) []string { return nil },
			play: func(send func(...string)) { send("a") },
			want: map[time.Duration][]string{},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, collected(t, test.changed, test.play)); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGatherKeepsWhatIsNotTaken has a slow reader: what comes meanwhile is one batch.
func TestGatherKeepsWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touched, batches := make(chan []string), make(chan Batch)
		go gather(t.Context(), touched, batches, DefaultQuiet, all)
		touched <- []string{"a"}
		time.Sleep(time.Second)
		touched <- []string{"b"}
		time.Sleep(time.Second)
		if diff := cmp.Diff(Batch{Files: []string{"a", "b"}}, <-batches); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		close(touched)
		if _, open := <-batches; open {
			t.Error("there is another batch")
		}
	})
}
