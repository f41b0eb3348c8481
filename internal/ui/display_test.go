package ui_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/ui"
)

func terminal(t *testing.T, columns int) (*ui.Streams, *screen) {
	s := newScreen(t, columns)
	return &ui.Streams{Out: io.Discard, Err: s, ErrIsTerminal: true, OutIsTerminal: true, Columns: columns, Lines: 24}, s
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, screen := terminal(t, 80)
		progress := ui.NewProgress(streams, ui.Auto)
		check := func(want string) {
			t.Helper()
			if diff := cmp.Diff(strings.TrimLeft(want, "\n"), screen.text()); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		}
		engine := progress.Start("engine", "Docker engine")
		registry := progress.Start("registry", "Registry on localhost:5000")
		cluster := progress.Start("cluster", "Cluster slipway")
		time.Sleep(50 * time.Millisecond)
		engine.Done("version 28")
		check(`
✓ Docker engine  version 28  0.1s
⠋ Registry on localhost:5000  0.0s
⠋ Cluster slipway  0.0s
`)
		cluster.Update("kind: starting %s, which takes long and whose description is much wider than a terminal", "control-plane")
		time.Sleep(1190 * time.Millisecond)
		check(`
✓ Docker engine  version 28  0.1s
⠹ Registry on localhost:5000  1.2s
⠹ Cluster slipway  1.2s  kind: starting control-plane, which takes long and wh…
`)
		registry.Skip("running")
		progress.Warn("little disk space")
		cluster.Fail(errors.New("node\nis gone"))
		cluster.Done("too late")
		check(`
✓ Docker engine  version 28  0.1s
- Registry on localhost:5000  running  1.2s
Warning: little disk space
✗ Cluster slipway  node is gone  1.2s
`)
		if screen.state().cursorHidden {
			t.Error("the cursor is hidden although nothing runs")
		}
		progress.Close()
		progress.Close()
		progress.Say("too late")
		check(`
✓ Docker engine  version 28  0.1s
- Registry on localhost:5000  running  1.2s
Warning: little disk space
✗ Cluster slipway  node is gone  1.2s
`)
	})
}

func TestLiveCloseRestoresTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, screen := terminal(t, 40)
		progress := ui.NewProgress(streams, ui.Auto)
		progress.Start("cluster", "A title that is longer than this narrow terminal is wide")
		time.Sleep(time.Second)
		if !screen.state().cursorHidden {
			t.Error("the cursor is not hidden while a task runs")
		}
		progress.Close()
		if state := screen.state(); state.cursorHidden || state.wrapOff {
			t.Errorf("after Close: %+v", state)
		}
		if got := screen.text(); got != "\n" {
			t.Errorf("the unfinished task is still on the screen: %q", got)
		}
	})
}

func TestLiveDrawsNothingWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, screen := terminal(t, 80)
		progress := ui.NewProgress(streams, ui.Auto)
		defer progress.Close()
		progress.Start("a", "A").Done("")
		time.Sleep(time.Second)
		before := screen.state()
		time.Sleep(time.Hour)
		if after := screen.state(); after.writes != before.writes {
			t.Errorf("%d writes although nothing runs", after.writes-before.writes)
		}
	})
}

func TestLiveWithMoreTasksThanLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, screen := terminal(t, 80)
		streams.Lines = 5
		progress := ui.NewProgress(streams, ui.Auto)
		for range 20 {
			progress.Start("a", "A")
		}
		time.Sleep(time.Second)
		if got := strings.Count(screen.text(), "\n"); got != 3 {
			t.Errorf("%d lines on a screen of 5, want 3", got)
		}
		progress.Close()
	})
}

func TestColor(t *testing.T) {
	for _, test := range []struct {
		name    string
		noColor bool
		mode    ui.Mode
		want    bool
	}{
		{"live", false, ui.Auto, true},
		{"live, NO_COLOR", true, ui.Auto, false},
		{"plain", false, ui.Plain, true},
		{"plain, NO_COLOR", true, ui.Plain, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			streams, screen := terminal(t, 80)
			streams.NoColor = test.noColor
			progress := ui.NewProgress(streams, test.mode)
			progress.Start("a", "A").Done("")
			progress.Close()
			if screen.state().colored != test.want {
				t.Errorf("colored = %t, want %t", screen.state().colored, test.want)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, out, errOut := ui.Test("")
		progress := ui.NewProgress(streams, ui.Auto)
		time.Sleep(300 * time.Millisecond)
		cluster := progress.Start("cluster", "Cluster slipway")
		registry := progress.Start("registry", "Registry")
		time.Sleep(1200 * time.Millisecond)
		registry.Done("localhost:5000")
		for range 1000 {
			cluster.Update("kind: preparing nodes")
		}
		time.Sleep(90 * time.Second)
		cluster.Update("kind: \x1b[31mstarting\r\n control-plane")
		time.Sleep(2 * time.Second)
		progress.Say("a line")
		progress.Warn("beware")
		cluster.Fail(errors.New("boom"))
		progress.Start("kinds", "Kinds").Skip("")
		progress.Close()
		want := `   1.5s  ✓ registry     Registry  localhost:5000 (1.2s)
  10.3s  … cluster      Cluster slipway  kind: preparing nodes (10s so far)
  70.3s  … cluster      Cluster slipway  kind: preparing nodes (1m10s so far)
  92.3s  … cluster      Cluster slipway  kind: ` + "\uFFFD" + `[31mstarting control-plane (1m32s so far)
  93.5s  a line
  93.5s  Warning: beware
  93.5s  ✗ cluster      Cluster slipway  boom (1m33s)
  93.5s  - kinds        Kinds (0.0s)
`
		if diff := cmp.Diff(want, errOut.String()); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
		if out.Len() > 0 {
			t.Errorf("stdout = %q, want nothing", out)
		}
	})
}

func TestDumbTerminalIsPlain(t *testing.T) {
	var out bytes.Buffer
	streams := &ui.Streams{Err: &out, ErrIsTerminal: true, Dumb: true}
	progress := ui.NewProgress(streams, ui.Auto)
	progress.Start("a", "A").Done("")
	progress.Close()
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("escape sequences on a dumb terminal: %q", &out)
	}
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, out, errOut := ui.Test("")
		progress := ui.NewProgress(streams, ui.JSON)
		task := progress.Start("cluster", "Cluster slipway")
		for i := range 1000 {
			task.Update("%d of 1000", i)
		}
		time.Sleep(2 * time.Second)
		progress.Warn("beware")
		task.Done("created")
		progress.Close()
		if err := ui.PrintResult(streams, map[string]string{"context": "kind-slipway"}); err != nil {
			t.Fatal(err)
		}
		want := `{"time":"2000-01-01T00:00:00Z","type":"start","id":"cluster","title":"Cluster slipway"}
{"time":"2000-01-01T00:00:00.5Z","type":"update","id":"cluster","title":"Cluster slipway","detail":"999 of 1000"}
{"time":"2000-01-01T00:00:02Z","type":"warning","detail":"beware"}
{"time":"2000-01-01T00:00:02Z","type":"done","id":"cluster","title":"Cluster slipway","detail":"created","seconds":2}
{"time":"2000-01-01T00:00:02Z","type":"result","result":{"context":"kind-slipway"}}
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("stdout (-want +got):\n%s", diff)
		}
		if errOut.Len() > 0 {
			t.Errorf("stderr = %q, want nothing", errOut)
		}
	})
}

// Everything at once, for the race detector; each line must still be whole.
func TestManyGoroutines(t *testing.T) {
	for _, mode := range ui.Modes() {
		t.Run(mode, func(t *testing.T) {
			streams, out, _ := ui.Test("")
			if mode == string(ui.Auto) {
				streams, _ = terminal(t, 80)
			}
			progress := ui.NewProgress(streams, ui.Mode(mode))
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					task := progress.Start("a", "A")
					for i := range 50 {
						task.Update("%d", i)
						progress.Say("line")
					}
					task.Done("")
				})
			}
			wait.Wait()
			progress.Close()
			for line := range strings.Lines(out.String()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("not a JSON line: %q", line)
				}
			}
		})
	}
}

func TestRecorder(t *testing.T) {
	var r ui.Recorder
	task := r.Start("build", "Build")
	task.Update("compiling %s", "x")
	task.Update("compiling %s", "x")
	task.Fail(errors.New("no"))
	task.Done("")
	r.Say("hello")
	want := []string{"start build", "update build: compiling x", "fail build: no", "message: hello"}
	if diff := cmp.Diff(want, r.Summary()); diff != "" {
		t.Errorf("Summary (-want +got):\n%s", diff)
	}
}
