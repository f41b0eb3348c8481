package ui

import (
	"fmt"
	"io"
	"time"
)

const (
	// plainInterval is how often a plain display looks whether something is worth a line.
	plainInterval = time.Second
	// A task that takes long gets a line when what it waits for has changed, but not more often than
	// plainUpdateAfter; and one that sees no change still gets one now and then, since CI systems end jobs that say
	// nothing for long. Both are guesses at what is calm and yet no riddle.
	plainUpdateAfter = 10 * time.Second
	plainRemindAfter = time.Minute
)

// plain writes a line for each task that ends:
//
//	12.3s  ✓ registry       Registry  localhost:5000 (1.2s)
type plain struct {
	out   io.Writer
	color bool
	began time.Time
}

var _ renderer = (*plain)(nil)

func (p *plain) started(t *task) { t.shownAt = t.start }

func (p *plain) ended(t *task, _ []*task) {
	detail := ""
	if t.detail != "" {
		detail = "  " + oneLine(t.detail)
	}
	p.print(mark(p.color, t.outcome), t.id, fmt.Sprintf("%s%s (%s)", t.title, detail, brief(t.elapsed())))
}

func (p *plain) said(typ, text string, _ []*task) {
	if typ == "warning" {
		text = paint(p.color, colorYellow, "Warning:") + " " + text
	}
	fmt.Fprintf(p.out, "%7s  %s\n", fmt.Sprintf("%.1fs", time.Since(p.began).Seconds()), text)
}

func (p *plain) tick(running []*task) {
	now := time.Now()
	for _, t := range running {
		quiet := now.Sub(t.shownAt)
		if quiet < plainUpdateAfter || (t.detail == t.shown && quiet < plainRemindAfter && t.shownAt != t.start) {
			continue
		}
		t.shown, t.shownAt = t.detail, now
		detail := t.detail
		if detail == "" {
			detail = "under way"
		}
		p.print(paint(p.color, colorDim, "…"), t.id, fmt.Sprintf("%s  %s (%s so far)", t.title, detail, brief(t.elapsed())))
	}
}

func (p *plain) closed() {}

func (p *plain) print(mark, id, text string) {
	fmt.Fprintf(p.out, "%7s  %s %-12s %s\n", fmt.Sprintf("%.1fs", time.Since(p.began).Seconds()), mark, id, text)
}

// mark is the sign in front of a task that ended. Colour repeats what the sign says.
func mark(color bool, outcome string) string {
	switch outcome {
	case "done":
		return paint(color, colorGreen, "✓")
	case "fail":
		return paint(color, colorRed, "✗")
	}
	return paint(color, colorDim, "-")
}
