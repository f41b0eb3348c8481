package ui

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// frameInterval is how often the live lines are drawn again: fast enough that a spinner looks alive, slow enough to
// cost nothing over a slow connection.
const frameInterval = 100 * time.Millisecond

// frames of the spinner.
var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// live draws the tasks that are under way as a block of lines at the bottom, with what has ended above it. Each
// drawing is one write: it moves up to the block's first line and overwrites it, so that nothing flickers.
type live struct {
	streams *Streams
	color   bool
	frame   int
	drawn   int // lines of the block that are on the screen
}

var _ renderer = (*live)(nil)

func (l *live) started(*task) {} // the next tick shows it; most tasks are done before

func (l *live) ended(t *task, running []*task) {
	line := t.title
	width := l.streams.Width() - 1
	seconds := brief(t.elapsed())
	if room := width - 2 - columnsOf(line) - 2 - columnsOf(seconds); t.detail != "" && room > 4 {
		detail := truncate(oneLine(t.detail), room-2)
		if t.outcome == "fail" {
			line += "  " + paint(l.color, colorRed, detail)
		} else {
			line += "  " + detail
		}
	} else {
		line = truncate(line, width-2-2-columnsOf(seconds))
	}
	l.draw(mark(l.color, t.outcome)+" "+line+"  "+paint(l.color, colorDim, seconds)+clearLine+"\n", running)
}

func (l *live) said(typ, text string, running []*task) {
	if typ == "warning" {
		text = paint(l.color, colorYellow, "Warning:") + " " + text
	}
	var above strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		above.WriteString(line + clearLine + "\n")
	}
	l.draw(above.String(), running)
}

func (l *live) tick(running []*task) {
	l.frame++
	l.draw("", running)
}

func (l *live) closed() {
	l.draw("", nil)
}

// draw writes the lines that go above the block, and the block.
func (l *live) draw(above string, running []*task) {
	if above == "" && l.drawn == 0 && len(running) == 0 {
		return
	}
	var out strings.Builder
	out.WriteString(hideCursor)
	if l.drawn > 0 {
		fmt.Fprintf(&out, cursorUpForm, l.drawn)
	}
	out.WriteString(above)
	// A line that the terminal wraps would put the count of lines wrong, for instance when it was just made narrower.
	out.WriteString(wrapOff)
	columns, lines := l.streams.dimensions()
	shown := running
	if most := max(lines-2, 1); len(shown) > most {
		shown = shown[len(shown)-most:] // the newest: what has run for long has been seen
	}
	for _, t := range shown {
		out.WriteString(l.line(t, columns-1) + clearLine + "\n")
	}
	l.drawn = len(shown)
	out.WriteString(clearBelow + wrapOn)
	if len(running) == 0 {
		out.WriteString(showCursor)
	}
	_, _ = io.WriteString(l.streams.Err, out.String())
}

// line is a running task: spinner, title, time so far, and how far it is as wide as fits.
func (l *live) line(t *task, columns int) string {
	spinner := frames[l.frame%len(frames)]
	elapsed := brief(t.elapsed().Truncate(time.Second / 10))
	title := truncate(t.title, columns-2-2-columnsOf(elapsed))
	line := paint(l.color, colorGreen, spinner) + " " + title + "  " + paint(l.color, colorDim, elapsed)
	if room := columns - 2 - columnsOf(title) - 2 - columnsOf(elapsed) - 2; t.detail != "" && room > 4 {
		line += "  " + truncate(t.detail, room)
	}
	return line
}
