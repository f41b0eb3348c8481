//go:build linux

package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"slipway.dev/slipway/internal/supervise/wire"
)

// Defaults of Options.
const (
	DefaultGrace  = 2 * time.Second
	DefaultHold   = 10 * time.Second
	DefaultListen = 10 * time.Second
)

// Options are what Run needs. Dir, Command, Environment, Stdout and Stderr must be set.
type Options struct {
	Dir         string   // the supervisor's folder; whoever runs the program can write into it
	Command     []string // the image's program and its arguments; the program is a path, or a name in PATH
	Environment []string // of the program
	Folders     []string // into which files may be synced, as absolute paths
	Port        int      // on which the program listens; 0 means that this is not known
	Token       string   // that a client must show; "" means that nothing can be synced
	Door        *Door    // where clients come in; nil means that nothing can be synced

	Stdout, Stderr *os.File // the container's
	// Grace is how long a program that must make room for a new one may take to end; 0 means DefaultGrace.
	Grace time.Duration
	// Hold is how long a program that was synced and has ended waits for the next change when no client is there; with
	// a client it waits for as long as that stays. 0 means DefaultHold.
	Hold time.Duration
	// Listen is how long a new process is watched for its port; 0 means DefaultListen.
	Listen time.Duration
}

// Run runs the program until it ends by itself, and returns its exit code as a shell does (128 and more: by a signal).
// SIGTERM and its like are passed on to the program, and SIGCHLD is handled; both for the whole process, so Run is for
// one call of a program of its own. The end of ctx is as good as a SIGTERM. An error means that there was no program to
// run.
func Run(ctx context.Context, o Options) (int, error) {
	o.Grace, o.Hold, o.Listen = orDefault(o.Grace, DefaultGrace), orDefault(o.Hold, DefaultHold), orDefault(o.Listen, DefaultListen)
	store, err := openStore(o.Dir, o.Folders)
	if err != nil {
		return 0, fmt.Errorf("opening the supervisor's folder: %w", err)
	}
	s := &supervisor{
		Options: o, store: store, children: newChildren(),
		changes: make(chan asked), heard: make(chan wire.Event), sessions: map[*session]struct{}{}, come: make(chan *session), leave: make(chan *session),
	}
	return s.run(ctx)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// supervisor is the state of Run. All of it belongs to the goroutine of run; others reach that through the channels.
type supervisor struct {
	Options
	store       *store // of which one session at a time uses what receives
	children    *children
	changes     chan asked      // from the sessions
	heard       chan wire.Event // from whoever watches the new process's port
	come, leave chan *session

	sessions map[*session]struct{}
	process  *process // nil when none runs
	code     int      // of the last one that ended
	lines    []string // its last
	ending   bool     // whether the container is to end
	waiting  *asked   // the change that waits for the process's end
}

// process is a run of the program.
type process struct {
	pid     int
	ended   <-chan exit
	tail    *tail
	drained *sync.WaitGroup    // of its output
	forget  context.CancelFunc // ends the watching of its port
}

// asked is a change and who asked for it.
type asked struct {
	received
	by   *session
	done chan<- struct{} // is closed when the change has been answered
}

// passedOn are the signals that are the program's business.
var passedOn = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT,
}

func (s *supervisor) run(ctx context.Context) (int, error) {
	adopt()
	ends := make(chan os.Signal, 1) // one is enough: each makes everything that has ended be collected
	signal.Notify(ends, syscall.SIGCHLD)
	defer signal.Stop(ends)
	orders := make(chan os.Signal, 16)
	signal.Notify(orders, passedOn...)
	defer signal.Stop(orders)
	if err := s.start(ctx, 0); err != nil {
		return 0, err
	}
	if s.Door != nil && s.Token != "" {
		go s.serve()
	}
	var kill, hold <-chan time.Time
	over := ctx.Done()
	for {
		changes := s.changes
		if s.waiting != nil || s.ending {
			changes = nil
		}
		select {
		case <-ends:
			s.children.reap()
		case order := <-orders:
			if s.order(order) {
				return s.code, nil
			}
		case <-over:
			over = nil
			if s.order(syscall.SIGTERM) {
				return s.code, nil
			}
		case event := <-s.heard:
			s.tell(event)
		case one := <-s.come:
			s.sessions[one] = struct{}{}
			one.say(s.greeting())
		case one := <-s.leave:
			delete(s.sessions, one)
		case <-kill:
			_ = syscall.Kill(-s.process.pid, syscall.SIGKILL)
			kill = nil
		case <-hold:
			return s.code, nil
		case one := <-changes:
			s.waiting = &one
			if s.process != nil && (one.change.Restart || one.change.Program != nil) {
				kill = time.After(s.Grace)
				_ = syscall.Kill(s.process.pid, syscall.SIGTERM)
			} else {
				s.change(ctx)
			}
		case end := <-s.ended():
			kill = nil
			if s.goes(ctx, end) {
				return s.code, nil
			}
		}
		hold = s.holding(hold)
	}
}

// ended is the channel of the process's end; nil when none runs.
func (s *supervisor) ended() <-chan exit {
	if s.process == nil {
		return nil
	}
	return s.process.ended
}

// order passes a signal on. After one that asks for the end, the program's end is that of the container; it says
// whether that has come.
func (s *supervisor) order(order os.Signal) (over bool) {
	number, ok := order.(syscall.Signal)
	if !ok {
		return false
	}
	if number == syscall.SIGTERM || number == syscall.SIGINT || number == syscall.SIGQUIT {
		s.ending = true
	}
	if s.process == nil {
		return s.ending
	}
	_ = syscall.Kill(s.process.pid, number)
	return false
}

// greeting is what a client must know first.
func (s *supervisor) greeting() wire.Event {
	return wire.Event{
		Type: wire.Greeting, Version: wire.Version, Program: s.store.now.Hash, Files: s.store.now.Files,
		Running: s.process != nil, Code: s.code, Lines: s.lines,
	}
}

// tell says an event to all.
func (s *supervisor) tell(event wire.Event) {
	for one := range s.sessions {
		one.say(event)
	}
}

// drainLimit is how long the output of a process that has ended is waited for: what it started may hold it open.
const drainLimit = 200 * time.Millisecond

// goes deals with the end of the process, and says whether it is the end of all.
func (s *supervisor) goes(ctx context.Context, end exit) bool {
	gone := s.process
	s.process, s.code = nil, end.code
	gone.forget()
	_ = syscall.Kill(-gone.pid, syscall.SIGKILL) // what it left behind holds its port
	drained := make(chan struct{})
	go func() {
		gone.drained.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(drainLimit):
	}
	s.lines = gone.tail.last()
	switch {
	case s.ending:
		return true
	case s.waiting != nil:
		s.change(ctx)
		return false
	}
	s.tell(wire.Event{Type: wire.Ended, Code: s.code, Lines: s.lines})
	return !s.store.now.synced()
}

// holding decides how long a process that has ended may be missed: nil means for ever.
func (s *supervisor) holding(timer <-chan time.Time) <-chan time.Time {
	if s.process != nil || len(s.sessions) > 0 {
		return nil
	}
	if timer == nil {
		timer = time.After(s.Hold)
	}
	return timer
}

// change makes the waiting change, starts the process if it does not run, and answers.
func (s *supervisor) change(ctx context.Context) {
	one := s.waiting
	s.waiting = nil
	defer close(one.done)
	answer := wire.Event{Type: wire.Applied, ID: one.change.ID}
	err := s.store.apply(one.received)
	if err != nil {
		err = fmt.Errorf("changing the files: %w", err)
	}
	if s.process == nil {
		answer.Restarted = true
		if wrong := s.start(ctx, one.change.ID); wrong != nil {
			s.code, s.lines = cannotRun, []string{wrong.Error()}
			err = errors.Join(err, wrong)
		}
	}
	if err != nil {
		answer = wire.Event{Type: wire.Refused, ID: one.change.ID, Message: err.Error()}
	}
	one.by.say(answer)
}

// cannotRun is what a shell says of a program that is there and cannot be run.
const cannotRun = 126

// start starts the program: the synced one, else the image's. The change of that number is what it comes of.
func (s *supervisor) start(ctx context.Context, id int) error {
	program := s.store.program()
	if program == "" {
		found, err := find(s.Command[0], s.Environment)
		if err != nil {
			return err
		}
		program = found
	}
	p := &process{tail: newTail(), drained: &sync.WaitGroup{}}
	var files []*os.File
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	files = append(files, nothing)
	for _, to := range []*os.File{s.Stdout, s.Stderr} {
		into, err := p.tail.pass(to, p.drained)
		if err != nil {
			return err
		}
		files = append(files, into)
	}
	if p.pid, p.ended, err = s.children.start(program, s.Command, s.Environment, files); err != nil {
		return fmt.Errorf("running %s: %w", program, err)
	}
	var watching context.Context
	watching, p.forget = context.WithCancel(context.WithoutCancel(ctx))
	s.process = p
	if id > 0 {
		go s.watch(watching, id)
	}
	return nil
}

// watch tells when the new process listens.
func (s *supervisor) watch(ctx context.Context, id int) {
	event := wire.Event{Type: wire.Listening, ID: id}
	if s.Port == 0 {
		event = wire.Event{Type: wire.Silent, ID: id, Message: "it is not known on which port the program listens"}
	} else if !awaitListener(ctx, s.Port, s.Listen) {
		event = wire.Event{Type: wire.Silent, ID: id, Message: fmt.Sprintf("nothing listens on port %d after %s", s.Port, s.Listen)}
	}
	select {
	case s.heard <- event:
	case <-ctx.Done():
	}
}
