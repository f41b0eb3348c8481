package ui

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mode is how progress is shown.
type Mode string

// The modes of --progress.
const (
	// Auto is live lines on a terminal, and Plain elsewhere.
	Auto Mode = "auto"
	// Plain is a line when something ends, and now and then for what takes long; on standard error.
	Plain Mode = "plain"
	// JSON is an Event per line, on standard output: for a program they are the result.
	JSON Mode = "json"
)

// Modes are the values of --progress.
func Modes() []string { return []string{string(Auto), string(Plain), string(JSON)} }

// Display is a Progress that must be closed before anything else is written to the terminal.
type Display interface {
	Progress
	// Close shows what is outstanding and gives the terminal back. Tasks that have not ended are left out: whoever
	// stopped them says why. Later calls of the Progress do nothing; Close may be called twice.
	Close()
}

// NewProgress returns the Display for a mode; an empty mode is Auto. Auto and Plain write to Streams.Err, and JSON to
// Streams.Out.
func NewProgress(streams *Streams, mode Mode) Display {
	switch {
	case mode == JSON:
		return newBoard(&jsonLines{out: streams.Out}, jsonInterval)
	case mode != Plain && streams.ErrIsTerminal && !streams.Dumb:
		return newBoard(&live{streams: streams, color: streams.ColorErr()}, frameInterval)
	}
	return newBoard(&plain{out: streams.Err, color: streams.ColorErr(), began: time.Now()}, plainInterval)
}

// renderer shows what a board tells it. It is called with the board's lock held, so never twice at once.
type renderer interface {
	started(t *task)
	ended(t *task, running []*task)
	// said is for a line that belongs to no task; typ is message or warning.
	said(typ, text string, running []*task)
	// tick is called at an interval while a task is under way.
	tick(running []*task)
	closed()
}

// board keeps the tasks that are under way; a renderer shows them.
type board struct {
	renderer renderer
	interval time.Duration

	mutex   sync.Mutex
	running []*task // in the order of their start
	ticking bool    // whether the goroutine that calls tick runs
	done    bool
	stop    chan struct{}
	wait    sync.WaitGroup
}

func newBoard(r renderer, interval time.Duration) *board {
	return &board{renderer: r, interval: interval, stop: make(chan struct{})}
}

// task is a Task of a board; the board's lock guards it.
type task struct {
	board     *board
	id, title string
	start     time.Time
	end       time.Time // zero while it is under way
	outcome   string    // done, skip or fail
	detail    string    // the last update, or what came of it

	shown   string    // the detail that a renderer last showed
	shownAt time.Time // and when
}

func (t *task) elapsed() time.Duration {
	if t.end.IsZero() {
		return time.Since(t.start)
	}
	return t.end.Sub(t.start)
}

func (b *board) Start(id, title string) Task {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	t := &task{board: b, id: id, title: oneLine(title), start: time.Now()}
	if b.done {
		return t
	}
	b.running = append(b.running, t)
	b.renderer.started(t)
	if !b.ticking {
		b.ticking = true
		b.wait.Go(b.tickWhileRunning)
	}
	return t
}

// tickWhileRunning ends when nothing is under way, so that a command that only waits uses no processor time.
func (b *board) tickWhileRunning() {
	ticker := time.NewTicker(b.interval)
	defer ticker.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-ticker.C:
		}
		b.mutex.Lock()
		if len(b.running) == 0 || b.done {
			b.ticking = false
			b.mutex.Unlock()
			return
		}
		b.renderer.tick(b.running)
		b.mutex.Unlock()
	}
}

func (b *board) Say(format string, arguments ...any) { b.say("message", format, arguments) }

func (b *board) Warn(format string, arguments ...any) { b.say("warning", format, arguments) }

func (b *board) say(typ, format string, arguments []any) {
	text := strings.TrimRight(harmless(fmt.Sprintf(format, arguments...)), "\n")
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if !b.done {
		b.renderer.said(typ, text, b.running)
	}
}

func (b *board) Close() {
	b.mutex.Lock()
	if b.done {
		b.mutex.Unlock()
		return
	}
	b.done = true
	b.renderer.closed()
	close(b.stop)
	b.mutex.Unlock()
	b.wait.Wait()
}

func (t *task) Update(format string, arguments ...any) {
	text := oneLine(fmt.Sprintf(format, arguments...))
	t.board.mutex.Lock()
	defer t.board.mutex.Unlock()
	if t.end.IsZero() {
		t.detail = text
	}
}

func (t *task) Done(detail string) { t.finish("done", detail) }

func (t *task) Skip(detail string) { t.finish("skip", detail) }

func (t *task) Fail(err error) {
	detail := "failed"
	if err != nil {
		detail = err.Error()
	}
	t.finish("fail", detail)
}

func (t *task) finish(outcome, detail string) {
	b := t.board
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if !t.end.IsZero() {
		return
	}
	t.end, t.outcome, t.detail = time.Now(), outcome, harmless(detail)
	if b.done {
		return
	}
	b.running = slices.DeleteFunc(b.running, func(other *task) bool { return other == t })
	b.renderer.ended(t, b.running)
}
