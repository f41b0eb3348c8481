package ui_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
)

func TestPrintError(t *testing.T) {
	streams, out, errOut := ui.Test("")
	err := fmt.Errorf("creating: %w", hint.With(errors.New("no\nmore\x1b[2Jlines\n"), "try again"))
	ui.PrintError(streams, hint.With(err, "look at the log"))
	want := "Error: creating: no\n  more\uFFFD[2Jlines\nHint: look at the log\nHint: try again\n"
	if diff := cmp.Diff(want, errOut.String()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if out.Len() > 0 {
		t.Errorf("stdout = %q, want nothing", out)
	}
}

func fill(table *ui.Table) {
	table.Row(ui.Text("NAME", "STATE", "DETAIL")...)
	table.Row(ui.Cell{Text: "cert-manager"}, ui.Cell{Text: "Ready", Tone: ui.Good}, ui.Cell{})
	table.Row(ui.Cell{Text: "日本"}, ui.Cell{Text: "Not ready", Tone: ui.Bad},
		ui.Cell{Text: "deployment cert-manager-webhook: 0 of 1 available; pod x: ImagePullBackOff"})
}

func TestTable(t *testing.T) {
	t.Run("on a terminal", func(t *testing.T) {
		screen := newScreen(t, 60)
		table := ui.NewTable(&ui.Streams{Out: screen, Err: io.Discard, OutIsTerminal: true, Columns: 60, NoColor: true}, "  ")
		fill(table)
		if err := table.Print(); err != nil {
			t.Fatal(err)
		}
		want := `  NAME          STATE      DETAIL
  cert-manager  Ready
  日本          Not ready  deployment cert-manager-webhook:
                           0 of 1 available; pod x:
                           ImagePullBackOff
`
		if diff := cmp.Diff(want, screen.text()); diff != "" {
			t.Errorf("table (-want +got):\n%s", diff)
		}
		if screen.state().colored {
			t.Error("colour in spite of NO_COLOR")
		}
	})
	t.Run("in a pipe", func(t *testing.T) {
		streams, out, _ := ui.Test("")
		table := ui.NewTable(streams, "")
		fill(table)
		if err := table.Print(); err != nil {
			t.Fatal(err)
		}
		want := `NAME          STATE      DETAIL
cert-manager  Ready
日本          Not ready  deployment cert-manager-webhook: 0 of 1 available; pod x: ImagePullBackOff
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("table (-want +got):\n%s", diff)
		}
	})
}
