package dev

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/ui"
)

// beginner is a Builder that notes what it is asked for.
type beginner struct {
	cold    bool // whether it cannot begin
	knowing bool // whether there is nothing to learn
	lessons int
	ended   chan struct{}
	ctx     context.Context //nolint:containedctx // of the last Begin
	asked   []build.Request
	builds  []build.Request
}

func (b *beginner) Begins() bool { return !b.cold }

func (b *beginner) Begin(ctx context.Context, r build.Request) <-chan struct{} {
	b.asked, b.ctx = append(b.asked, r), ctx
	b.ended = make(chan struct{})
	return b.ended
}

func (b *beginner) Learn(context.Context) <-chan struct{} {
	b.lessons++
	if b.knowing {
		return nil
	}
	b.ended = make(chan struct{})
	return b.ended
}

func (b *beginner) Build(_ context.Context, r build.Request) (*build.Result, error) {
	b.builds = append(b.builds, r)
	return nil, errors.New("it builds nothing")
}

func (b *beginner) Close() error { return nil }

func newBeginning(t *testing.T, places int) (*app, *beginner) {
	t.Helper()
	dir, b := t.TempDir(), &beginner{}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	one := &cluster{around: &surroundings{registry: "localhost:5000", platform: v1.Platform{OS: "linux", Architecture: "arm64"}}}
	a := &app{session: &session{builds: make(chan struct{}, places), lessons: make(chan struct{}, 1)}, App: App{Dir: dir, Main: "./cmd", Builder: b}, cluster: one, name: "hello"}
	return a, b
}

// TestBegin begins a build, and has the run ask for the same.
func TestBegin(t *testing.T) {
	a, b := newBeginning(t, 1)
	a.begin(t.Context(), 7)
	if len(b.asked) != 1 || b.asked[0].Mark != 7 || len(a.builds) != 1 {
		t.Fatalf("asked for %+v, with %d builds under way", b.asked, len(a.builds))
	}
	a.mark = 7
	if _, err := a.build(t.Context(), newRecord(ui.Discard(), 2, nil)); err == nil || len(b.builds) != 1 {
		t.Fatalf("%d builds, and %v", len(b.builds), err)
	}
	asked, built := b.asked[0], b.builds[0]
	if diff := cmp.Diff(asked.Source.Files, built.Source.Files); diff != "" || len(built.Source.Files) != 1 {
		t.Errorf("of %d files (-begun +built):\n%s", len(built.Source.Files), diff)
	}
	asked.Source, built.Source, asked.Update, built.Update = nil, nil, nil, nil
	built.Name = asked.Name // the run's record has none here
	if diff := cmp.Diff(asked, built); diff != "" {
		t.Errorf("the run asks for something else (-begun +built):\n%s", diff)
	}
	if len(a.builds) != 0 {
		t.Error("its place among the builds is still taken")
	}
	close(b.ended)
}

// TestBeginTakesTurns counts the builds that are under way.
func TestBeginTakesTurns(t *testing.T) {
	a, b := newBeginning(t, 1)
	a.builds <- struct{}{}
	if a.begin(t.Context(), 1); len(b.asked) != 0 {
		t.Fatal("it has begun beside as many builds as may be")
	}
	<-a.builds
	a.begin(t.Context(), 2)
	first := b.ended
	a.begin(t.Context(), 3) // in its place
	if len(b.asked) != 2 || len(a.builds) != 1 {
		t.Fatalf("%d begun, with %d builds under way", len(b.asked), len(a.builds))
	}
	close(first)
	close(b.ended) // and no run came
	a.builds <- struct{}{}
	if a.early.take() {
		t.Error("its place is taken over, which was given back")
	}
	<-a.builds
	a.begin(t.Context(), 4)
	last := b.ctx
	a.early.release()
	a.builds <- struct{}{} // another app's
	a.begin(t.Context(), 5)
	if last.Err() == nil || len(b.asked) != 3 {
		t.Errorf("what was begun goes on without a place: %v, %d begun", last.Err(), len(b.asked))
	}
}

// TestBeginsNothing has what must not be begun early.
func TestBeginsNothing(t *testing.T) {
	for name, change := range map[string]func(*app, *beginner){
		"a chain that starts at source":  func(a *app, _ *beginner) { a.fromSource = true },
		"a builder that cannot":          func(_ *app, b *beginner) { b.cold = true },
		"a large source":                 func(a *app, _ *beginner) { a.size = mostAhead + 1 },
		"a source that cannot be listed": func(a *app, _ *beginner) { a.Dir = filepath.Join(a.Dir, "none") },
	} {
		a, b := newBeginning(t, 1)
		change(a, b)
		if a.begin(t.Context(), 1); len(b.asked) != 0 || len(a.builds) != 0 {
			t.Errorf("%s: %d begun, and %d under way", name, len(b.asked), len(a.builds))
		}
	}
}

// TestLearn has the builders learn between the runs, one at a time and in no place of the builds.
func TestLearn(t *testing.T) {
	a, b := newBeginning(t, 1)
	a.learn(t.Context())
	if b.lessons != 1 || len(a.builds) != 0 {
		t.Fatalf("%d lessons, with %d builds under way", b.lessons, len(a.builds))
	}
	lesson := b.ended
	a.learn(t.Context()) // as another app does
	a.begin(t.Context(), 1)
	if b.lessons != 1 || len(b.asked) != 1 {
		t.Fatalf("%d lessons, and %d begun", b.lessons, len(b.asked))
	}
	close(b.ended)
	close(lesson)
	a.lessons <- struct{}{} // its place is given back
	<-a.lessons
	b.knowing = true
	for range 2 {
		a.learn(t.Context())
	}
	if b.lessons != 3 {
		t.Errorf("%d lessons: one of which nothing comes keeps the next one away", b.lessons)
	}
	a.fromSource = true
	if a.learn(t.Context()); b.lessons != 3 {
		t.Error("a builder learns that may be at work beside the runs")
	}
}

// TestFreshBuild passes on that nothing is to be used again.
func TestFreshBuild(t *testing.T) {
	a, b := newBeginning(t, 1)
	for _, fresh := range []bool{true, false} {
		a.fresh = fresh
		_, _ = a.build(t.Context(), newRecord(ui.Discard(), 2, nil))
	}
	if len(b.builds) != 2 || !b.builds[0].Fresh || b.builds[1].Fresh {
		t.Errorf("builds %+v", b.builds)
	}
}

// TestFreshRunsHaveNoMark has a key between a save and its batch.
func TestFreshRunsHaveNoMark(t *testing.T) {
	if both := (trigger{fresh: true}).and(trigger{files: []string{"a"}, mark: 1}); both.mark != 0 {
		t.Error("what must not use what was built before goes on with what was begun")
	}
	if both := (trigger{files: []string{"b"}, mark: 1}).and(trigger{files: []string{"a"}, mark: 2}); both.mark != 2 {
		t.Errorf("the mark is %d", both.mark)
	}
	if both := (trigger{files: []string{"b"}, mark: 1}).and(trigger{again: true}); both.mark != 0 {
		t.Errorf("a repetition has the mark %d", both.mark)
	}
}
