package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/hint"
)

// PrintError writes an error for a person: "Error:" and what went wrong, then a "Hint:" for each advice that it
// carries. The Display must be closed.
func PrintError(streams *Streams, err error) {
	color := streams.ColorErr()
	var out strings.Builder
	labelled(&out, paint(color, colorRed+colorBold, "Error:"), err.Error())
	hints(&out, color, err)
	_, _ = io.WriteString(streams.Err, out.String())
}

// PrintInterrupted says that the user ended the command, and what can be done now: the advice that err carries.
func PrintInterrupted(streams *Streams, err error) {
	var out strings.Builder
	out.WriteString("Interrupted.\n")
	hints(&out, streams.ColorErr(), err)
	_, _ = io.WriteString(streams.Err, out.String())
}

func hints(out *strings.Builder, color bool, err error) {
	for _, advice := range hint.Of(err) {
		labelled(out, paint(color, colorBold, "Hint:"), advice)
	}
}

// PrintNote writes a labelled line beside an error.
func PrintNote(streams *Streams, label, text string) {
	var out strings.Builder
	labelled(&out, paint(streams.ColorErr(), colorBold, label), text)
	_, _ = io.WriteString(streams.Err, out.String())
}

// labelled writes text behind a label; its further lines are indented, so that the next label stands out.
func labelled(out *strings.Builder, label, text string) {
	lines := strings.Split(strings.TrimRight(harmless(text), "\n"), "\n")
	fmt.Fprintf(out, "%s %s\n", label, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(out, "  %s\n", line)
	}
}

// Printf writes a part of the result. An output that cannot be written has nobody to be told.
func Printf(streams *Streams, format string, arguments ...any) {
	_, _ = fmt.Fprintf(streams.Out, format, arguments...)
}

// Painted is a cell's text in its tone's colour, for use in Printf.
func Painted(streams *Streams, cell Cell) string {
	return paint(streams.ColorOut(), tones[cell.Tone], cell.Text)
}

// PrintData writes a value for programs; format is json or yaml.
func PrintData(streams *Streams, format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil && format == "yaml" {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("writing the result as %s: %w", format, err)
	}
	_, err = fmt.Fprintf(streams.Out, "%s\n", strings.TrimRight(string(text), "\n"))
	return err
}
