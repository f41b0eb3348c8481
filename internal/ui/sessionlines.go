package ui

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// plainSession writes a line for each stage that ends, and for what is said and logged.
type plainSession struct{ plain }

var _ sessionRenderer = (*plainSession)(nil)

func (p *plainSession) happened(s *session, v *view, e Event) {
	app := ""
	if v != nil && len(s.views) > 1 {
		app = v.name + "/"
	}
	switch e.Type {
	case "done", "skip", "fail":
		detail := ""
		if e.Detail != "" {
			detail = "  " + oneLine(e.Detail)
		}
		p.print(mark(p.color, e.Type), app+e.ID, fmt.Sprintf("%s%s (%s)", e.Title, detail, brief(time.Duration(e.Seconds*float64(time.Second)))))
	case "message", "warning":
		p.said(e.Type, before(app, e.Detail), nil)
	case "run":
		if e.Run > 1 {
			p.said("message", before(app, fmt.Sprintf("Run %d: %s", e.Run, e.Detail)), nil)
		}
	case "passed":
		p.said("message", before(app, fmt.Sprintf("Ready in %.1fs", e.Seconds)), nil)
		for _, address := range v.addresses {
			p.said("message", before(app, "  "+address.text()), nil)
		}
	case "failed":
		p.said("message", before(app, strings.ReplaceAll(e.Detail, "\n", "\n         ")), nil)
	case "watching":
		p.said("message", before(app, "Watching "+e.Detail+"; Ctrl-C ends"), nil)
	case "log":
		fmt.Fprintf(p.out, "%7s  %s | %s\n", "", paint(p.color, colorOf(e.Pod), e.Pod), e.Detail)
	}
}

// before puts an app's name in front of a line.
func before(app, text string) string {
	if app == "" {
		return text
	}
	return strings.TrimSuffix(app, "/") + ": " + text
}

func (a Address) text() string {
	if a.Note == "" {
		return a.URL
	}
	return a.URL + "  " + a.Note
}

func (p *plainSession) tick(s *session) {
	now := time.Now()
	for _, t := range s.running() {
		quiet := now.Sub(t.shownAt)
		if quiet < plainUpdateAfter || (t.detail == t.shown && quiet < plainRemindAfter && !t.shownAt.Equal(t.start)) {
			continue
		}
		t.shown, t.shownAt = t.detail, now
		detail := t.detail
		if detail == "" {
			detail = "under way"
		}
		id := t.id
		if t.view != nil && len(s.views) > 1 {
			id = t.view.name + "/" + id
		}
		p.print(paint(p.color, colorDim, "…"), id, fmt.Sprintf("%s  %s (%s so far)", t.title, detail, brief(t.elapsed())))
	}
}

func (p *plainSession) closed(*session) {}

// jsonSession writes an Event per line.
type jsonSession struct{ out io.Writer }

var _ sessionRenderer = (*jsonSession)(nil)

func (j *jsonSession) happened(_ *session, _ *view, e Event) { _ = writeLine(j.out, e) }

func (j *jsonSession) tick(s *session) {
	for _, t := range s.running() {
		if t.detail == t.shown {
			continue
		}
		t.shown = t.detail
		e := Event{Time: time.Now().UTC(), Type: "update", ID: t.id, Title: t.title, Detail: t.detail, Run: t.run}
		if t.view != nil {
			e.App = t.view.name
		}
		_ = writeLine(j.out, e)
	}
}

func (j *jsonSession) closed(*session) {}
