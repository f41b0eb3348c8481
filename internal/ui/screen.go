package ui

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"time"
)

// screen is the live view of `dev`: at the bottom a block with each app's run, its stages as a waterfall, its addresses
// and the keys; above it, in the terminal's own history, the lines that pods write, messages, and one line for each
// run that is over. Each drawing is one write, as in live.
type screen struct {
	streams *Streams
	color   bool
	keys    bool // whether keys can be pressed
	frame   int
	drawn   int // lines of the block that are on the screen

	waiting []string // lines that go above the block at the next drawing
	lost    int      // of waiting, which is bounded
}

// maxWaiting bounds what a program that writes without end costs: more lines than this between two drawings nobody
// could read.
const maxWaiting = 500

var _ sessionRenderer = (*screen)(nil)

func newScreen(streams *Streams) *screen { return &screen{streams: streams, color: streams.ColorErr()} }

// palette are the colours that tell pods apart, in the order of ANSI: cyan, magenta, blue, yellow, green and their
// bright forms.
var palette = []string{"\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[32m", "\x1b[96m", "\x1b[95m", "\x1b[94m"}

// colorOf is a pod's colour, the same in every view.
func colorOf(pod string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(pod))
	return palette[int(hash.Sum32())%len(palette)]
}

func (c *screen) happened(s *session, v *view, e Event) {
	app := ""
	if v != nil && len(s.views) > 1 {
		app = v.name
	}
	switch e.Type {
	case "message":
		c.add(before(app, e.Detail))
	case "warning":
		c.add(paint(c.color, colorYellow, "Warning:") + " " + before(app, e.Detail))
	case "log":
		c.add(paint(c.color, colorOf(e.Pod), shortPod(v.name, e.Pod)+" │") + " " + expandTabs(e.Detail))
		s.busy = true // the next tick shows it: a program may write much
		return
	case "done", "skip", "fail":
		if v == nil {
			c.add(mark(c.color, e.Type) + " " + e.Title + "  " + oneLine(e.Detail))
		}
	}
	c.draw(s)
}

// forgets puts the run that a new one follows into the history.
func (c *screen) forgets(s *session, v *view) {
	if v.number == 0 || v.outcome == "superseded" || v.ended.IsZero() {
		return
	}
	c.add(c.summary(s, v, c.streams.Width()-1))
}

func (c *screen) add(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		if len(c.waiting) >= maxWaiting {
			c.waiting = c.waiting[1:]
			c.lost++
		}
		c.waiting = append(c.waiting, line)
	}
}

func (c *screen) tick(s *session) {
	c.frame++
	s.busy = false
	c.draw(s)
}

// closed leaves how things stand on the screen, without what moves.
func (c *screen) closed(s *session) {
	for _, v := range s.views {
		if !v.ended.IsZero() && v.outcome != "superseded" {
			c.add(c.summary(s, v, c.streams.Width()-1))
			if v.outcome == "passed" {
				for _, address := range v.addresses {
					c.add("  " + address.text())
				}
			}
		}
	}
	c.write(nil)
}

func (c *screen) draw(s *session) {
	columns, lines := c.streams.dimensions()
	c.write(c.block(s, columns-1, max(lines-2, 3)))
}

// write puts the waiting lines above the block, and draws the block.
func (c *screen) write(block []string) {
	if len(c.waiting) == 0 && c.drawn == 0 && len(block) == 0 {
		return
	}
	var out strings.Builder
	out.WriteString(hideCursor)
	if c.drawn > 0 {
		fmt.Fprintf(&out, cursorUpForm, c.drawn)
	}
	if c.lost > 0 {
		fmt.Fprintf(&out, "(%d lines left out)%s\n", c.lost, clearLine)
	}
	for _, line := range c.waiting {
		out.WriteString(line + clearLine + "\n")
	}
	c.waiting, c.lost = nil, 0
	// A line that the terminal wraps would put the count of lines wrong, for instance when it was just made narrower.
	out.WriteString(wrapOff)
	for _, line := range block {
		out.WriteString(line + clearLine + "\n")
	}
	c.drawn = len(block)
	out.WriteString(clearBelow + wrapOn)
	if len(block) == 0 {
		out.WriteString(showCursor)
	}
	_, _ = io.WriteString(c.streams.Err, out.String())
}

// block are the lines at the bottom, as wide and as many as fit. What is under way stays longest.
func (c *screen) block(s *session, columns, lines int) []string {
	var footer []string
	for _, p := range s.loose {
		footer = append(footer, c.looseLine(p, columns))
	}
	if c.keys {
		footer = append(footer, c.footer(s, columns))
	}
	room := lines - len(footer)
	var body []string
	for detail := fullDetail; detail >= leastDetail; detail-- {
		body = nil
		for _, v := range s.views {
			body = append(body, c.app(s, v, columns, detail, room)...)
		}
		if len(body) <= room {
			break
		}
	}
	if len(body) > room {
		body = append(body[:max(room-1, 0)], paint(c.color, colorDim, truncate("  … the terminal has too few lines", columns)))
	}
	if len(body) > 0 {
		body = append([]string{""}, body...)
	}
	return append(body, footer...)
}

func (c *screen) looseLine(p *part, columns int) string {
	line := truncate(p.title+"  "+p.detail, columns-2)
	return c.spinner() + " " + line
}

func (c *screen) spinner() string {
	return paint(c.color, colorGreen, frames[c.frame%len(frames)])
}

func (c *screen) footer(s *session, columns int) string {
	logs := "l hide logs"
	if s.hideLogs {
		logs = "l show logs"
	}
	return paint(c.color, colorDim, truncate("r rebuild · "+logs+" · o open · q quit", columns))
}

// shortPod is a pod's name without its ReplicaSet's part, which changes with every rollout: hello-x7k2p.
func shortPod(app, pod string) string {
	if rest, ours := strings.CutPrefix(pod, app+"-"); ours {
		if i := strings.LastIndexByte(rest, '-'); i >= 0 {
			return app + rest[i:]
		}
	}
	return pod
}

// expandTabs makes tabs spaces, since the space that a terminal leaves depends on the column.
func expandTabs(text string) string { return strings.ReplaceAll(text, "\t", "    ") }

// elapsedOf is how long a run has taken or takes.
func elapsedOf(v *view) time.Duration {
	if v.ended.IsZero() {
		return time.Since(v.began)
	}
	return v.ended.Sub(v.began)
}
