package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// The escape sequences that are used; every terminal since the VT100 knows them, or ignores them.
const (
	hideCursor   = "\x1b[?25l"
	showCursor   = "\x1b[?25h"
	wrapOff      = "\x1b[?7l"
	wrapOn       = "\x1b[?7h"
	clearLine    = "\x1b[K" // to the line's end
	clearBelow   = "\x1b[J" // to the screen's end
	colorReset   = "\x1b[0m"
	colorBold    = "\x1b[1m"
	colorDim     = "\x1b[2m"
	colorRed     = "\x1b[31m"
	colorGreen   = "\x1b[32m"
	colorYellow  = "\x1b[33m"
	cursorUpForm = "\x1b[%dA\r"
)

// paint puts a colour around text, when colour is wanted.
func paint(wanted bool, color, text string) string {
	if !wanted || color == "" || text == "" {
		return text
	}
	return color + text + colorReset
}

// columnsOf is the number of columns that a terminal uses for text, which must have no escape sequences.
func columnsOf(text string) int {
	total := 0
	for _, r := range text {
		total += columnsOfRune(r)
	}
	return total
}

func columnsOfRune(r rune) int {
	switch {
	case r < 0x20 || r == 0x7f, unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x7f:
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// truncate cuts text to a number of columns; the last one is then an ellipsis.
func truncate(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if columnsOf(text) <= columns {
		return text
	}
	used := 0
	for i, r := range text {
		used += columnsOfRune(r)
		if used > columns-1 {
			return strings.TrimRight(text[:i], " ") + "…"
		}
	}
	return text
}

// oneLine makes text fit on a line: line breaks and tabs become spaces, and what a terminal would obey (escape
// sequences in the output of a program, say) becomes visible.
func oneLine(text string) string {
	return strings.Join(strings.Fields(harmless(text)), " ")
}

// harmless replaces the control characters of text, but for line breaks and tabs.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, unicode.IsControl(r):
			return '\uFFFD'
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}

// brief writes a duration for people: 0.4s, 12s, 2m05s.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// wrap breaks text between words into lines of at most so many columns; a longer word has a line of its own.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case columnsOf(line)+1+columnsOf(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// Paragraph writes lines to Streams.Out; those that are wider than a terminal are broken between words there.
func Paragraph(s *Streams, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		parts := []string{line}
		if s.OutIsTerminal && columnsOf(line) > s.Width() {
			parts = wrap(line, s.Width())
		}
		Printf(s, "%s\n", strings.Join(parts, "\n"))
	}
}
