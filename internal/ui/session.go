package ui

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Session shows what `dev` does: apps side by side, each with runs, the stages of the run, the lines that its pods
// write and the addresses at which it answers. What it has from Progress is for what belongs to no app.
type Session interface {
	Display
	// App adds an app; they are shown in the order in which they are added.
	App(name string) AppView
	// Keys are what the user presses; nil where no keys can be read. It is never closed.
	Keys() <-chan Key
	// ToggleLogs hides the apps' lines, or shows them again, and says which.
	ToggleLogs()
	// FirstAddress is the first address of the first app that has one; "" when none has.
	FirstAddress() string
}

// AppView shows one app. All methods may be called from several goroutines at once.
type AppView interface {
	Progress // Start begins a stage of the run that is under way; Say and Warn speak of the app
	// Run begins a run; the stages of the one before are forgotten. cause are the files that were saved, and may be
	// empty; why says it in words where it was something else, and may be "".
	Run(number int, cause []string, why string)
	// RunEnded ends the run: outcome is passed, failed or superseded; text is what went wrong, whole, or "".
	RunEnded(outcome, text string)
	// Watching says that the next run begins when something in the folder is saved.
	Watching(dir string)
	// Addresses replaces where the app answers; the first is the best one.
	Addresses(list []Address)
	// Log shows a line of a pod's container.
	Log(pod, container, line string)
}

// Address is where an app answers.
type Address struct {
	URL  string `json:"url"`
	Note string `json:"note,omitempty"` // such as "port 8080 of the pod"
}

// Key is a key that means something to `dev`.
type Key byte

// The keys.
const (
	KeyRebuild Key = 'r'
	KeyLogs    Key = 'l'
	KeyOpen    Key = 'o'
	KeyQuit    Key = 'q'
)

// NewSession returns the Session for a mode, as NewProgress does for a Display.
func NewSession(streams *Streams, mode Mode) Session {
	switch {
	case mode == JSON:
		return openSession(&jsonSession{out: streams.Out}, jsonInterval)
	case mode != Plain && streams.ErrIsTerminal && !streams.Dumb:
		view := newScreen(streams)
		s := openSession(view, frameInterval)
		s.keys = listenForKeys(streams, s.redraw)
		view.keys = s.keys != nil
		return s
	}
	return openSession(&plainSession{plain{out: streams.Err, color: streams.ColorErr(), began: time.Now()}}, plainInterval)
}

// sessionRenderer shows what happens in a session. It is called with the session's lock held, so never twice at once.
type sessionRenderer interface {
	// happened is told of everything but updates; v is nil for what belongs to no app.
	happened(s *session, v *view, e Event)
	// tick is called at an interval while a stage is under way or lines wait to be shown.
	tick(s *session)
	closed(s *session)
}

// session is the Session; a renderer shows it. Its lock guards its views, their runs and tasks.
type session struct {
	renderer sessionRenderer
	interval time.Duration
	keys     *keyboard // nil where none can be read

	mutex    sync.Mutex
	views    []*view
	loose    []*part // tasks of no app that are under way
	hideLogs bool
	busy     bool // whether the renderer wants ticks although nothing is under way
	ticking  bool
	done     bool
	stop     chan struct{}
	wait     sync.WaitGroup
}

func openSession(r sessionRenderer, interval time.Duration) *session {
	return &session{renderer: r, interval: interval, stop: make(chan struct{})}
}

// view is an app on a stage.
type view struct {
	session   *session
	name      string
	number    int // of the run; 0 before the first
	cause     string
	files     []string
	began     time.Time
	ended     time.Time // zero while it is under way
	outcome   string
	problem   string // what went wrong, whole
	parts     []*part
	addresses []Address
}

// part is a stage of a run, or a task of no app.
type part struct {
	session   *session
	view      *view // nil for a task of no app
	run       int
	id, title string
	start     time.Time
	end       time.Time // zero while it is under way
	outcome   string    // done, skip or fail
	detail    string
	shown     string
	shownAt   time.Time
}

func (p *part) elapsed() time.Duration {
	if p.end.IsZero() {
		return time.Since(p.start)
	}
	return p.end.Sub(p.start)
}

func (s *session) App(name string) AppView {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	v := &view{session: s, name: name}
	s.views = append(s.views, v)
	return v
}

func (s *session) Keys() <-chan Key {
	if s.keys == nil {
		return nil
	}
	return s.keys.pressed
}

func (s *session) ToggleLogs() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.hideLogs = !s.hideLogs
	text := "Logs are shown"
	if s.hideLogs {
		text = "Logs are hidden"
	}
	s.tell(nil, Event{Type: "message", Detail: text})
}

func (s *session) FirstAddress() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, v := range s.views {
		if len(v.addresses) > 0 {
			return v.addresses[0].URL
		}
	}
	return ""
}

// redraw shows everything anew, below what others have written meanwhile.
func (s *session) redraw() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if c, ok := s.renderer.(*screen); ok && !s.done {
		c.drawn = 0
		c.tick(s)
	}
}

// tell passes an event on; the lock is held.
func (s *session) tell(v *view, e Event) {
	if s.done {
		return
	}
	if v != nil {
		e.App = v.name
		if e.Run == 0 {
			e.Run = v.number
		}
	}
	e.Time = time.Now().UTC()
	s.renderer.happened(s, v, e)
	if !s.ticking && (s.busy || len(s.running()) > 0) {
		s.ticking = true
		s.wait.Go(s.tickWhileRunning)
	}
}

// running are the parts that are under way; the lock is held.
func (s *session) running() []*part {
	running := slices.Clone(s.loose)
	for _, v := range s.views {
		for _, p := range v.parts {
			if p.end.IsZero() {
				running = append(running, p)
			}
		}
	}
	return running
}

// tickWhileRunning ends when nothing is under way, so that a `dev` that only watches uses no processor time.
func (s *session) tickWhileRunning() {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		s.mutex.Lock()
		idle := !s.busy && len(s.running()) == 0
		if idle || s.done {
			s.ticking = false
			s.mutex.Unlock()
			return
		}
		s.renderer.tick(s)
		s.mutex.Unlock()
	}
}

func (s *session) begin(v *view, id, title string) Task {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	p := &part{session: s, view: v, id: id, title: oneLine(title), start: now, shownAt: now}
	if v == nil {
		s.loose = append(s.loose, p)
	} else {
		p.run = v.number
		v.parts = append(v.parts, p)
	}
	s.tell(v, Event{Type: "start", ID: id, Title: p.title})
	return p
}

func (s *session) say(v *view, typ, format string, arguments []any) {
	text := strings.TrimRight(harmless(fmt.Sprintf(format, arguments...)), "\n")
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.tell(v, Event{Type: typ, Detail: text})
}

func (s *session) Start(id, title string) Task          { return s.begin(nil, id, title) }
func (s *session) Say(format string, arguments ...any)  { s.say(nil, "message", format, arguments) }
func (s *session) Warn(format string, arguments ...any) { s.say(nil, "warning", format, arguments) }
func (v *view) Start(id, title string) Task             { return v.session.begin(v, id, title) }
func (v *view) Say(format string, arguments ...any)     { v.session.say(v, "message", format, arguments) }
func (v *view) Warn(format string, arguments ...any)    { v.session.say(v, "warning", format, arguments) }

func (s *session) Close() {
	s.mutex.Lock()
	if s.done {
		s.mutex.Unlock()
		return
	}
	s.renderer.closed(s)
	s.done = true
	close(s.stop)
	s.mutex.Unlock()
	if s.keys != nil {
		s.keys.close()
	}
	s.wait.Wait()
}

func (v *view) Run(number int, cause []string, why string) {
	s := v.session
	s.mutex.Lock()
	defer s.mutex.Unlock()
	before := *v
	v.number, v.files, v.began, v.ended, v.outcome, v.problem, v.parts = number, cause, time.Now(), time.Time{}, "", "", nil
	v.cause = oneLine(causeOf(cause, why))
	if r, ok := s.renderer.(interface{ forgets(*session, *view) }); ok && !s.done {
		r.forgets(s, &before)
	}
	s.tell(v, Event{Type: "run", Cause: cause, Detail: v.cause})
}

// causeOf names the first of many files, or says why else a run began.
func causeOf(files []string, why string) string {
	const shown = 3
	switch {
	case why != "":
		return why
	case len(files) <= shown:
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:shown], ", "), len(files)-shown)
}

func (v *view) RunEnded(outcome, text string) {
	s := v.session
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !v.ended.IsZero() {
		return
	}
	v.ended, v.outcome, v.problem = time.Now(), outcome, strings.TrimRight(harmless(text), "\n")
	for _, p := range v.parts {
		if p.end.IsZero() {
			p.end, p.outcome = v.ended, "skip"
		}
	}
	s.tell(v, Event{Type: outcome, Detail: v.problem, Seconds: seconds(v.ended.Sub(v.began))})
}

func (v *view) Watching(dir string) {
	v.session.mutex.Lock()
	defer v.session.mutex.Unlock()
	v.session.tell(v, Event{Type: "watching", Detail: dir})
}

func (v *view) Addresses(list []Address) {
	s := v.session
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if slices.Equal(v.addresses, list) {
		return
	}
	v.addresses = list
	s.tell(v, Event{Type: "addresses", Addresses: list})
}

func (v *view) Log(pod, container, line string) {
	s := v.session
	text := harmless(line)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.hideLogs {
		s.tell(v, Event{Type: "log", Pod: pod, Container: container, Detail: text})
	}
}

func (p *part) Update(format string, arguments ...any) {
	text := oneLine(fmt.Sprintf(format, arguments...))
	p.session.mutex.Lock()
	defer p.session.mutex.Unlock()
	if p.end.IsZero() {
		p.detail = text
	}
}

func (p *part) Done(detail string) { p.finish("done", detail) }
func (p *part) Skip(detail string) { p.finish("skip", detail) }
func (p *part) Fail(err error) {
	detail := "failed"
	if err != nil {
		detail = err.Error()
	}
	p.finish("fail", detail)
}

func (p *part) finish(outcome, detail string) {
	s := p.session
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !p.end.IsZero() {
		return
	}
	p.end, p.outcome, p.detail = time.Now(), outcome, harmless(detail)
	s.loose = slices.DeleteFunc(s.loose, func(other *part) bool { return other == p })
	if p.view != nil && p.view.number != p.run {
		return // of a run that is over
	}
	s.tell(p.view, Event{Type: outcome, ID: p.id, Title: p.title, Detail: p.detail, Seconds: seconds(p.elapsed()), Run: p.run})
}
