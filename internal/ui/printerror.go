package ui

import (
	"fmt"
	"io"
	"strings"

	"slipway.dev/slipway/internal/hint"
)

// PrintError writes an error for a person: "Error:" and what went wrong, then a "Hint:" for each advice that it
// carries. The Display must be closed.
func PrintError(streams *Streams, err error) {
	color := streams.ColorErr()
	var out strings.Builder
	labelled(&out, paint(color, colorRed+colorBold, "Error:"), err.Error())
	for _, advice := range hint.Of(err) {
		labelled(&out, paint(color, colorBold, "Hint:"), advice)
	}
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
