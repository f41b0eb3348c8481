package gobinary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build/gobinary/direct"
)

// How many builds there are before another lesson is tried, after one that has failed, and after many: what the go command
// does with this source may be what no plan knows, and each try costs as much as a build. One that failed may also have come
// between a save and what tells of it.
const (
	firstPassed = 1
	mostPassed  = 64
)

// learnt is how the program is made without the go command, as far as that is known.
type learnt struct {
	plan    *direct.Plan // nil for none
	order   order        // that the plan is for
	dir     string       // the same: the source, without symbolic links
	program direct.State // of the file that Build made last; "" where that is not known
	last    *source      // of that file; nil before the first
	asked   order        // what made it
	wanting bool         // whether there is something to learn from it
	current bool         // whether that is of the last Build, which may have come to nothing
	pass    int          // how many builds there are to be before the next lesson
	passed  int          // how many that were when a lesson, or the plan of one, failed last
	lesson  *lesson      // that is under way; nil for none
}

// plan is a direct.Plan and the files that it is to be used for.
type plan struct {
	*direct.Plan
	names []string
}

func (p *plan) follow(ctx context.Context, program string, have direct.State) (direct.State, error) {
	return p.Make(ctx, p.names, program, have)
}

// lesson is a plan that is being learnt, or proven for more packages.
type lesson struct {
	end   context.CancelFunc
	ended chan struct{}
	plan  *direct.Plan // once ended is closed
	err   error        // the same
	cut   bool         // the same; whether it was ended early
}

// Learn is for build.Learner. It learns how to do without the go command, where nothing that it reads may change unseen.
func (b *Builder) Learn(ctx context.Context) <-chan struct{} {
	b.abandon()
	l := &b.learnt
	if !l.wanting || !l.current || l.pass > 0 || !b.settled.alone(l.last, l.asked) || !b.settled.plans(b.config) {
		return nil
	}
	query, err := b.query(l.last, l.asked)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	one := &lesson{end: cancel, ended: make(chan struct{}), plan: l.plan}
	names, program := l.last.names, filepath.Join(b.scratch, "program")
	go func() {
		defer close(one.ended)
		if one.plan != nil {
			one.err = one.plan.Prove(ctx, names, program)
		}
		if one.plan == nil || errors.Is(one.err, direct.ErrUnproven) || errors.Is(one.err, direct.ErrUnfit) {
			one.plan, one.err = direct.Learn(ctx, query, names, program)
		}
		one.cut = ctx.Err() != nil
	}()
	l.lesson = one
	return one.ended
}

// endLesson ends the lesson, and keeps what was learnt.
func (b *Builder) endLesson() {
	l := &b.learnt
	one := l.lesson
	if one == nil {
		return
	}
	one.end()
	<-one.ended
	l.lesson = nil
	switch {
	case one.err == nil:
		l.plan, l.order, l.dir, l.wanting = one.plan, l.asked, l.last.dir, false
		l.program = one.plan.State()
	case one.cut || errors.Is(one.err, direct.ErrMoved): // once more after the next build
		if one.plan != l.plan {
			l.plan = nil // the new one has taken its files
		}
	default:
		l.plan, l.wanting = nil, false
		l.fail()
		b.doubt = true // the settings may be why
	}
}

// fail waits for twice as many builds as the last time.
func (l *learnt) fail() {
	l.pass = min(max(firstPassed, 2*l.passed), mostPassed)
	l.passed = l.pass
}

// plan is what the source is to be compiled with; nil for the go command.
func (b *Builder) plan(src *source, o order) *plan {
	l := &b.learnt
	if l.plan == nil || l.dir != src.dir || !l.order.makesAs(o) || !b.settled.alone(src, o) {
		return nil
	}
	return &plan{l.plan, src.names}
}

// note takes in how the program was made that Build has now.
func (b *Builder) note(src *source, c *compilation) {
	l := &b.learnt
	l.pass = max(0, l.pass-1)
	if l.last == nil || !slices.Equal(l.last.names, src.names) {
		l.pass, l.passed = 0, 0
	}
	l.program, l.last, l.asked, l.current = c.state, src, c.order, true
	switch {
	case c.state != "":
		l.wanting, l.passed = false, 0
	case errors.Is(c.gaveUp, direct.ErrUnproven):
		l.wanting = true
	case c.gaveUp != nil && !errors.Is(c.gaveUp, direct.ErrUnfit):
		l.fail() // the compiler did not like what it likes when the go command calls it
		fallthrough
	default:
		l.plan, l.wanting = nil, true
		b.doubt = c.gaveUp != nil // the settings may be what has changed
	}
}

// makesAs says whether two orders make the same of the same source.
func (o order) makesAs(other order) bool {
	o.weak, o.hidden = other.weak, other.hidden
	return o.same(other)
}

// planned are the flags in GOFLAGS that make no difference to how a package is compiled, or only to which files it has.
var planned = []string{"mod", "modcacherw", "tags", "buildvcs", "trimpath"}

// plans says whether a plan can know what the user's flags do.
func (t *toolchain) plans(config appfile.Go) bool {
	for _, flag := range t.flags {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if !slices.Contains(planned, name) {
			return false
		}
	}
	// The go command splits the linker's flags by rules for quotes.
	return len(config.Flags) == 0 && !strings.ContainsAny(strings.Join(t.ldflags(config), " "), `"'`)
}

// query asks for the plan of an order.
func (b *Builder) query(src *source, o order) (direct.Query, error) {
	scratch := filepath.Join(b.scratch, "plan")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return direct.Query{}, fmt.Errorf("making a folder for the plan: %w", err)
	}
	arguments, err := o.hiding(scratch)
	if err != nil {
		return direct.Query{}, err
	}
	o.weak = leastCollection
	weak, err := b.settled.weak(o, scratch)
	return direct.Query{
		Go: b.settled.program, Dir: src.dir, Main: o.main, Flags: arguments[1:],
		Settings: b.settled.settings(),
		LDFlags:  strings.Fields(strings.Join(b.settled.ldflags(b.config), " ")),
		Env:      slices.Concat(weak, os.Environ(), o.env, []string{"PWD=" + src.dir}), Scratch: scratch,
	}, err
}
