package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memory is a ledger of files whose content is a word.
type memory struct {
	mutex            sync.Mutex
	disk, now, given map[string]string
}

func newMemory() *memory {
	return &memory{disk: map[string]string{}, now: map[string]string{}, given: map[string]string{}}
}

// write puts files on the disk, given as name=word, and returns their names.
func (m *memory) write(files ...string) []string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var names []string
	for _, file := range files {
		name, word, _ := strings.Cut(file, "=")
		m.disk[name] = word
		names = append(names, name)
	}
	return names
}

func (m *memory) update(touched []string) (news bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, name := range touched {
		news = news || m.now[name] != m.disk[name]
		m.now[name] = m.disk[name]
	}
	return news
}

func (m *memory) changed() []string {
	var names []string
	for name, word := range m.now {
		if m.given[name] != word {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (m *memory) take() { m.given = maps.Clone(m.now) }

// play is what happens to the files, under a false clock.
type play struct {
	touch    func(files ...string)
	occupied *atomic.Bool
}

// collected runs gather under a false clock, and returns everything taken with the time at which it came.
func collected(t *testing.T, do func(play)) map[time.Duration][]string {
	t.Helper()
	got := map[time.Duration][]string{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		touched, batches, occupied, disk := make(chan []string), make(chan Batch), &atomic.Bool{}, newMemory()
		go gather(ctx, touched, batches, Options{Quiet: DefaultQuiet, Expect: func(uint64) {}}, disk, func(time.Duration) bool { return occupied.Load() })
		go func() {
			do(play{touch: func(files ...string) { touched <- disk.write(files...) }, occupied: occupied})
			time.Sleep(10 * time.Second)
			close(touched)
		}()
		for batch := range batches {
			got[time.Since(start)] = batch.Files
		}
	})
	return got
}

func TestGather(t *testing.T) {
	const ms = time.Millisecond
	many := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	tests := []struct {
		name string
		do   func(play)
		want map[time.Duration][]string
	}{
		{
			name: "one save starts at once",
			do:   func(p play) { p.touch("a=1") },
			want: map[time.Duration][]string{25 * ms: {"a"}},
		},
		{
			name: "what an editor does is one save",
			do: func(p play) {
				p.touch("a=")
				time.Sleep(10 * ms)
				p.touch("a=1")
				time.Sleep(10 * ms)
				p.touch("a=1")
			},
			want: map[time.Duration][]string{45 * ms: {"a"}},
		},
		{
			name: "a burst is one batch, once it is quiet",
			do: func(p play) {
				for _, name := range many {
					p.touch(name + "=1")
					time.Sleep(20 * ms)
				}
			},
			want: map[time.Duration][]string{25*20*ms + 250*ms: many},
		},
		{
			name: "saves in quick succession take longer to be quiet",
			do: func(p play) {
				for _, word := range []string{"1", "2", "3", "4", "5"} {
					p.touch("a=" + word)
					time.Sleep(60 * ms)
				}
			},
			want: map[time.Duration][]string{25 * ms: {"a"}, 110 * ms: {"a"}, 240*ms + 100*ms: {"a"}},
		},
		{
			name: "saves apart are one each",
			do:   func(p play) { p.touch("a=1"); time.Sleep(2 * time.Second); p.touch("b=1") },
			want: map[time.Duration][]string{25 * ms: {"a"}, 2025 * ms: {"b"}},
		},
		{
			name: "what never becomes quiet is a batch at last",
			do: func(p play) {
				for i := range 25 {
					p.touch(fmt.Sprint("a=", i), fmt.Sprint("b=", i), fmt.Sprint("c=", i), fmt.Sprint("d=", i), fmt.Sprint("e=", i))
					time.Sleep(99 * ms)
				}
			},
			want: map[time.Duration][]string{2000 * ms: {"a", "b", "c", "d", "e"}, 24*99*ms + 250*ms: {"a", "b", "c", "d", "e"}},
		},
		{
			name: "a touch is nothing",
			do:   func(p play) { p.touch("a=") },
			want: map[time.Duration][]string{},
		},
		{
			name: "a change that is taken back before it is quiet is nothing",
			do:   func(p play) { p.touch("a=1"); time.Sleep(20 * ms); p.touch("a=") },
			want: map[time.Duration][]string{},
		},
		{
			name: "while git is at work nothing comes",
			do: func(p play) {
				p.occupied.Store(true)
				p.touch("a=1")
				time.Sleep(7 * time.Second)
				p.touch("b=1")
				time.Sleep(980 * ms)
				p.occupied.Store(false)
			},
			want: map[time.Duration][]string{8000 * ms: {"a", "b"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, collected(t, test.do)); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGatherKeepsWhatIsNotTaken has a slow reader: what comes meanwhile is one batch, without what was taken back.
func TestGatherKeepsWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touched, batches, disk := make(chan []string), make(chan Batch), newMemory()
		go gather(t.Context(), touched, batches, Options{Quiet: DefaultQuiet, Expect: func(uint64) {}}, disk, func(time.Duration) bool { return false })
		for _, file := range []string{"a=1", "b=1", "c=1", "a="} {
			touched <- disk.write(file)
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff(Batch{Files: []string{"b", "c"}}, <-batches); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		touched <- disk.write("b=1")
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case batch := <-batches:
			t.Errorf("what is as in the batch before came again: %v", batch)
		default:
		}
		close(touched)
		if _, open := <-batches; open {
			t.Error("there is another batch")
		}
	})
}

// TestGatherIsNotStarved has a slow reader, and files that never become quiet.
func TestGatherIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touched, batches, disk := make(chan []string), make(chan Batch), newMemory()
		go gather(t.Context(), touched, batches, Options{Quiet: DefaultQuiet, Expect: func(uint64) {}}, disk, func(time.Duration) bool { return false })
		for i := range 1000 {
			touched <- disk.write(fmt.Sprint("a=", i), fmt.Sprint("b=", i), "c=1")
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		select {
		case batch := <-batches:
			if diff := cmp.Diff(Batch{Files: []string{"a", "b", "c"}}, batch); diff != "" {
				t.Errorf("batch (-want +got):\n%s", diff)
			}
		default:
			t.Error("there is no batch after 10 seconds")
		}
		close(touched)
		<-batches
	})
}

// TestGatherIdle has git stop in the middle: it is asked with the time since when nothing has happened.
func TestGatherIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touched, batches, disk := make(chan []string), make(chan Batch), newMemory()
		start := time.Now()
		go gather(t.Context(), touched, batches, Options{Quiet: DefaultQuiet, Expect: func(uint64) {}}, disk, func(idle time.Duration) bool { return idle < staleLock })
		touched <- disk.write("a=1")
		<-batches
		if waited := time.Since(start); waited < staleLock || waited > staleLock+2*recheck {
			t.Errorf("it took %s, want %s", waited, staleLock)
		}
		close(touched)
		<-batches
	})
}

// TestGatherExpects has the batch of a single save told of before it is quiet, and only that.
func TestGatherExpects(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		do   func(p play, write func(string))
		want []string
	}{
		{"a save", func(p play, _ func(string)) { p.touch("a=1") }, []string{"5ms expect 1", "25ms [a] 1"}},
		{
			"a save that keeps a copy beside it",
			func(p play, _ func(string)) { p.touch("4913=", "a~=", "a=1") },
			[]string{"5ms expect 1", "75ms [a] 1"},
		},
		{
			"a save in two steps",
			func(p play, _ func(string)) {
				p.touch("a=1")
				time.Sleep(10 * ms)
				p.touch("a=2")
			},
			[]string{"5ms expect 1", "15ms expect 2", "35ms [a] 2"},
		},
		{
			"a save and another one",
			func(p play, _ func(string)) {
				p.touch("a=1")
				time.Sleep(10 * ms)
				p.touch("b=1")
			},
			[]string{"5ms expect 1", "60ms [a b]"},
		},
		{
			"a change that nobody told of",
			func(p play, write func(string)) {
				p.touch("a=1")
				time.Sleep(10 * ms)
				write("a=2")
			},
			[]string{"5ms expect 1", "25ms [a]"},
		},
		{"nothing new", func(p play, _ func(string)) { p.touch("a=") }, nil},
		{
			"a save that is undone",
			func(p play, _ func(string)) {
				p.touch("a=1")
				time.Sleep(10 * ms)
				p.touch("a=")
			},
			[]string{"5ms expect 1"},
		},
		{
			"saves in a row",
			func(p play, _ func(string)) {
				p.touch("a=1")
				time.Sleep(100 * ms)
				p.touch("a=2")
			},
			[]string{"5ms expect 1", "25ms [a] 1", "150ms [a]"},
		},
		{"several at once", func(p play, _ func(string)) { p.touch("a=1", "b=1") }, []string{"50ms [a b]"}},
		{
			"git is busy",
			func(p play, _ func(string)) {
				p.occupied.Store(true)
				p.touch("a=1")
				time.Sleep(10 * ms)
				p.occupied.Store(false)
			},
			[]string{"25ms [a]"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				touched, batches, occupied, disk := make(chan []string), make(chan Batch), &atomic.Bool{}, newMemory()
				disk.write("4913=", "a~=", "a=", "b=")
				disk.update([]string{"4913", "a~", "a", "b"})
				disk.take()
				var got []string
				say := func(what string) { got = append(got, time.Since(start).String()+" "+what) }
				o := Options{Quiet: DefaultQuiet, Expect: func(mark uint64) { say(fmt.Sprint("expect ", mark)) }}
				go gather(ctx, touched, batches, o, disk, func(time.Duration) bool { return occupied.Load() })
				go func() {
					test.do(play{touch: func(files ...string) { touched <- disk.write(files...) }, occupied: occupied}, func(file string) { disk.write(file) })
					time.Sleep(10 * time.Second)
					close(touched)
				}()
				for batch := range batches {
					what := fmt.Sprint(batch.Files)
					if batch.Mark != 0 {
						what += fmt.Sprint(" ", batch.Mark)
					}
					say(what)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
