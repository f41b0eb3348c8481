package ui

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Recorder is a Progress that remembers what it was told, for tests and reports. Its zero value is ready for use.
type Recorder struct {
	mutex  sync.Mutex
	events []Event
}

var _ Progress = (*Recorder)(nil)

// Events returns what happened so far, in order. Updates that repeat the one before are left out.
func (r *Recorder) Events() []Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.events)
}

// Summary returns an event per line as "type id: detail", without times, which is what tests compare.
func (r *Recorder) Summary() []string {
	var lines []string
	for _, e := range r.Events() {
		line := e.Type
		if e.ID != "" {
			line += " " + e.ID
		}
		if e.Detail != "" {
			line += ": " + e.Detail
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *Recorder) add(e Event) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	e.Time = time.Now().UTC()
	r.events = append(r.events, e)
}

// Start records the beginning of a task.
func (r *Recorder) Start(id, title string) Task {
	r.add(Event{Type: "start", ID: id, Title: title})
	return &recordedTask{recorder: r, id: id, title: title, start: time.Now()}
}

// Say records a message.
func (r *Recorder) Say(format string, arguments ...any) {
	r.add(Event{Type: "message", Detail: fmt.Sprintf(format, arguments...)})
}

// Warn records a warning.
func (r *Recorder) Warn(format string, arguments ...any) {
	r.add(Event{Type: "warning", Detail: fmt.Sprintf(format, arguments...)})
}

type recordedTask struct {
	recorder  *Recorder
	id, title string
	start     time.Time

	mutex sync.Mutex
	last  string
	ended bool
}

func (t *recordedTask) Update(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.ended || text == t.last {
		return
	}
	t.last = text
	t.recorder.add(Event{Type: "update", ID: t.id, Title: t.title, Detail: text})
}

func (t *recordedTask) Done(detail string) { t.end("done", detail) }
func (t *recordedTask) Skip(detail string) { t.end("skip", detail) }
func (t *recordedTask) Fail(err error) {
	detail := "failed"
	if err != nil {
		detail = err.Error()
	}
	t.end("fail", detail)
}

func (t *recordedTask) end(outcome, detail string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	t.recorder.add(Event{Type: outcome, ID: t.id, Title: t.title, Detail: detail, Seconds: seconds(time.Since(t.start))})
}

// Discard returns a Progress that shows nothing.
func Discard() Progress { return discard{} }

type discard struct{}

func (discard) Start(string, string) Task { return discard{} }
func (discard) Say(string, ...any)        {}
func (discard) Warn(string, ...any)       {}
func (discard) Update(string, ...any)     {}
func (discard) Done(string)               {}
func (discard) Skip(string)               {}
func (discard) Fail(error)                {}
