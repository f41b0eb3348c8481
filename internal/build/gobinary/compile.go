package gobinary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/gobinary/direct"
	"slipway.dev/slipway/internal/build/process"
)

// How rarely the compiler and the linker collect garbage; Go's own value is 100. With 200 the build after a save of the
// example hello takes 5 to 12 % less time, with 400 another 7 %, and off is no faster. The linker, which takes most, needs
// 1 to 8 % more memory for it. Only the first build, which may run a compiler on every processor, takes the smaller one.
const (
	lessCollection  = "GOGC=200"
	leastCollection = "GOGC=400"
)

// order is one call of `go build`.
type order struct {
	main      string // the package
	dir       string
	arguments []string // but for the file that hides what is not source, the program's file and the package
	weak      string   // a variable of the environment that the user's own wins over
	env       []string // those that win over the user's
	hidden    []byte   // what hides what is not source; nil for nothing
}

// order says how the main package is built of the source in dir. again says that most of it was compiled before.
func (t *toolchain) order(r build.Request, dir string, config appfile.Go, again bool, main string, hidden []byte) order {
	collection := lessCollection
	if again {
		collection = leastCollection
	}
	var env []string
	for _, name := range slices.Sorted(maps.Keys(config.Env)) {
		env = append(env, name+"="+config.Env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		env = append(env, name+"="+r.Env[name])
	}
	env = append(env, "CGO_ENABLED=0", "GOOS="+r.Platform.OS, "GOARCH="+r.Platform.Architecture, "PWD="+dir)
	return order{main: main, dir: dir, arguments: t.arguments(config), weak: collection, env: env, hidden: hidden}
}

func (o order) same(other order) bool {
	return o.main == other.main && o.dir == other.dir && o.weak == other.weak && bytes.Equal(o.hidden, other.hidden) &&
		slices.Equal(o.arguments, other.arguments) && slices.Equal(o.env, other.env)
}

// compilation is a program that is being made.
type compilation struct {
	order   order
	program string // the file
	end     context.CancelFunc
	ended   chan struct{}
	// What follows is there once ended is closed.
	err    error
	said   bytes.Buffer // by the go command
	state  direct.State // of the program; "" where the go command made it
	gaveUp error        // why the plan did not make it; nil where it did, and where there is none
}

// compile makes the program, until ctx ends: as the plan says, and where that is nil or gives up, with the go command. have
// is what the program was made of that is there.
func (t *toolchain) compile(ctx context.Context, o order, program string, plan *plan, have direct.State) (*compilation, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &compilation{order: o, program: program, end: cancel, ended: make(chan struct{})}
	cmd, err := t.goBuild(ctx, o, program)
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = &c.said, &c.said
	go func() {
		defer close(c.ended)
		if plan != nil {
			if c.state, c.gaveUp = plan.follow(ctx, program, have); c.gaveUp == nil {
				return
			}
		}
		c.err = cmd.Run()
	}()
	return c, nil
}

// goBuild is the go command, which ends with ctx. What hides what is not source, and what the go command would leave behind
// when it is ended early, is beside the program.
func (t *toolchain) goBuild(ctx context.Context, o order, program string) (*exec.Cmd, error) {
	arguments, err := o.hiding(program)
	if err != nil {
		return nil, err
	}
	weak, err := t.weak(o, program)
	if err != nil {
		return nil, err
	}
	cmd := process.Command(ctx, t.program, slices.Concat(arguments, []string{"-o", program, o.main})...)
	cmd.Dir, cmd.Env = o.dir, slices.Concat(weak, os.Environ(), o.env)
	return cmd, nil
}

// hiding are the arguments with those that hide what is not source, for which there is a file beside the program.
func (o order) hiding(program string) ([]string, error) {
	if o.hidden == nil {
		return o.arguments, nil
	}
	overlay := program + ".overlay.json"
	if err := os.WriteFile(overlay, o.hidden, 0o600); err != nil {
		return nil, fmt.Errorf("hiding what is not source: %w", err)
	}
	return slices.Concat(o.arguments, []string{"-overlay=" + overlay}), nil
}

// weak are the variables that the user's own win over.
func (t *toolchain) weak(o order, program string) ([]string, error) {
	if t.temporary != "" {
		return []string{o.weak}, nil
	}
	work := program + ".work"
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		return nil, fmt.Errorf("making a folder to build in: %w", err)
	}
	return []string{o.weak, "GOTMPDIR=" + work}, nil
}

// wait waits until the program is there. When ctx ends before, so does the go command. What the compiler complains about
// is a *build.SourceError.
func (c *compilation) wait(ctx context.Context) error {
	select {
	case <-c.ended:
		c.end()
	case <-ctx.Done():
		c.abandon()
		return ctx.Err()
	}
	switch {
	case c.err == nil:
		return nil
	case ctx.Err() != nil: // which ended it
		return ctx.Err()
	}
	return c.explain(c.err)
}

// abandon ends what makes the program, and returns when it has.
func (c *compilation) abandon() {
	c.end()
	<-c.ended
}

func (c *compilation) explain(err error) error {
	output := strings.TrimSpace(c.said.String())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && output != "" {
		return &build.SourceError{Command: "go build " + c.order.main, Output: output}
	}
	return fmt.Errorf("running go build %s: %w\n%s", c.order.main, err, output)
}
