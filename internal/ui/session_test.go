package ui_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/ui"
)

var update = flag.Bool("update", false, "write the golden files anew")

// play is a session with two apps: a run that passes, one that fails, lines of pods, and one under way. at is called at
// the moments that are worth a look.
func play(s ui.Session, at func(name string)) {
	front := s.App("front")
	back := s.App("back-of-the-shop")
	front.Run(1, nil, "")
	build := front.Start("build", "Build examples/front")
	time.Sleep(807 * time.Millisecond)
	build.Update("compiling ./cmd/front, which has a rather long description that does not fit")
	time.Sleep(211 * time.Millisecond)
	back.Run(1, nil, "")
	other := back.Start("build", "Build examples/back")
	other.Update("waiting for the other builds")
	at("two builds")
	build.Done("sha256:0123456789ab")
	push := front.Start("push", "Push to localhost:5000/apps/front")
	time.Sleep(113 * time.Millisecond)
	push.Done("cached: all of it was there")
	pod := front.Start("pod", "Pod of front")
	chain := front.Start("image-provider-of-front", "Image front")
	time.Sleep(397 * time.Millisecond)
	chain.Done("")
	front.Log("front-7986dd7ddd-tbks5", "app", "2026/11/21 listens on :8080\tport=8080")
	time.Sleep(1511 * time.Millisecond)
	pod.Done("front-7986dd7ddd-tbks5")
	front.Addresses([]ui.Address{{URL: "http://front.default.localhost:8080/"}, {URL: "http://localhost:8081/", Note: "leads to port 8080 of the pod (8080 is taken on this machine)"}})
	front.RunEnded("passed", "")
	front.Watching("examples/front")
	other.Fail(errors.New("./main.go:22:15: undefined: nonsense"))
	back.RunEnded("failed", "go build .:\n# example.com/back\n./main.go:22:15: undefined: nonsense\n\t\x1b[31mred")
	at("one passed, one failed")
	for i := range 3 {
		front.Log("front-7986dd7ddd-tbks5", "app", fmt.Sprintf("GET / %d", i))
	}
	s.Warn("the cluster does not answer (connection refused)")
	front.Run(2, []string{"a.go", "b.go", "c.go", "d.go"}, "")
	front.Start("build", "Build examples/front").Done("kept: no file has changed")
	front.Start("pod", "Pod of front").Update("for pods of deployment front: 0 of 1 Ready; pod front-7986dd7ddd-tbks5: ContainerCreating")
	time.Sleep(5003 * time.Millisecond)
	at("a second run")
	s.ToggleLogs()
	front.Log("front-7986dd7ddd-tbks5", "app", "hidden")
	back.Run(2, []string{"main.go"}, "")
	time.Sleep(1009 * time.Millisecond)
	back.RunEnded("superseded", "")
	at("hidden logs")
	s.Close()
	at("closed")
}

// golden compares text with a file, or writes that with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), `go test ./internal/ui -update` writes it:\n%s", name, diff)
	}
}

func TestSessionScreens(t *testing.T) {
	for _, size := range []struct{ columns, lines int }{{80, 24}, {140, 40}, {40, 12}} {
		t.Run(fmt.Sprint(size.columns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				streams, screen := terminal(t, size.columns)
				streams.Lines, streams.NoColor = size.lines, true
				var got strings.Builder
				play(ui.NewScreen(streams), func(name string) {
					time.Sleep(207 * time.Millisecond) // never when the screen is drawn, too
					synctest.Wait()
					fmt.Fprintf(&got, "-- %s --\n%s", name, screen.text())
				})
				if state := screen.state(); state.cursorHidden || state.wrapOff || state.colored {
					t.Errorf("in the end: %+v", state)
				}
				golden(t, fmt.Sprintf("session-%d.txt", size.columns), got.String())
			})
		})
	}
}

func TestSessionPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, out, errOut := ui.Test("")
		play(ui.NewSession(streams, ui.Auto), func(string) {})
		if out.Len() > 0 {
			t.Errorf("standard output has %q", out)
		}
		golden(t, "session-plain.txt", errOut.String())
	})
}

func TestSessionJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, out, errOut := ui.Test("")
		play(ui.NewSession(streams, ui.JSON), func(string) {})
		if errOut.Len() > 0 {
			t.Errorf("standard error has %q", errOut)
		}
		documented := documentedTypes(t)
		for line := range strings.Lines(out.String()) {
			decoder := json.NewDecoder(strings.NewReader(line))
			decoder.DisallowUnknownFields()
			var e ui.Event
			if err := decoder.Decode(&e); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if !documented[e.Type] {
				t.Errorf("docs/progress.md does not tell of the type %q", e.Type)
			}
		}
		golden(t, "session.jsonl", out.String())
	})
}

// documentedTypes are the types of events in the first column of docs/progress.md's tables.
func documentedTypes(t *testing.T) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "progress.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if cells := strings.Split(line, "`"); strings.HasPrefix(line, "| `") && len(cells) > 2 {
			found[cells[1]] = true
		}
	}
	return found
}

// TestSessionIsBoundedUnderAFlood has a program write far more than anybody can read.
func TestSessionIsBoundedUnderAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, screen := terminal(t, 80)
		s := ui.NewScreen(streams)
		defer s.Close()
		app := s.App("noisy")
		before := screen.state().writes
		for i := range 10_000 {
			app.Log("noisy-1-x", "app", fmt.Sprint("line ", i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if writes := screen.state().writes - before; writes > 10 {
			t.Errorf("%d writes for lines that came at once", writes)
		}
		if text := screen.text(); !strings.Contains(text, "line 9999") || !strings.Contains(text, "(9500 lines left out)") {
			t.Errorf("the screen:\n%.300s", text)
		}
		idle := screen.state().writes
		time.Sleep(time.Hour)
		if writes := screen.state().writes; writes != idle {
			t.Errorf("%d writes although nothing happens", writes-idle)
		}
	})
}
