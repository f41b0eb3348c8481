package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"slipway.dev/slipway/internal/ui"
)

// step is one thing that `up` makes so. Its run does nothing when it already is, and says whether it did something.
type step struct {
	id    string   // stable, for programs and for needs
	title string   // for people
	needs []string // the steps that must be done before
	run   func(ctx context.Context, task ui.Task) (outcome, error)
}

// outcome is what a step did.
type outcome struct {
	changed bool   // false: it was already so
	detail  string // what is there now, in a few words
}

// runSteps runs each step as soon as the steps it needs are done, and reports whether any of them changed
// something. After a failure no further step starts, the running ones are cancelled, and the first error is returned
// with the step's title.
func runSteps(ctx context.Context, steps []step, progress ui.Progress) (bool, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(map[string]chan struct{}, len(steps))
	for _, s := range steps {
		done[s.id] = make(chan struct{})
	}
	for _, s := range steps {
		for _, need := range s.needs {
			if done[need] == nil {
				return false, fmt.Errorf("step %q needs %q, which is not among the steps", s.id, need)
			}
		}
	}
	var wait sync.WaitGroup
	var mutex sync.Mutex
	changed := false
	var first error // of the step that failed first: the others fail because it did
	for _, s := range steps {
		wait.Go(func() {
			for _, need := range s.needs {
				select {
				case <-done[need]:
				case <-ctx.Done():
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			task := progress.Start(s.id, s.title)
			result, err := s.run(ctx, task)
			if err != nil {
				mutex.Lock()
				if first == nil {
					first = &StepError{Step: s.title, Err: err}
				}
				mutex.Unlock()
				task.Fail(shown(ctx, err))
				cancel(givenUp{})
				return
			}
			if result.changed {
				task.Done(result.detail)
				mutex.Lock()
				changed = true
				mutex.Unlock()
			} else {
				task.Skip(result.detail)
			}
			close(done[s.id])
		})
	}
	wait.Wait()
	if first != nil {
		return changed, first
	}
	return changed, ctx.Err()
}

var errInterrupted = errors.New("interrupted")

// givenUp is why the steps beside one that failed end: a cancellation, and what requests that were under way fail with.
type givenUp struct{}

func (givenUp) Error() string { return "given up, since another step has failed" }

// Unwrap says that it is a cancellation.
func (givenUp) Unwrap() error { return context.Canceled }

// shown is what the screen says of a step that ended with err. Where it ended since all of them do, the request that
// was under way just then is not what went wrong.
func shown(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	if cause := (givenUp{}); errors.Is(context.Cause(ctx), cause) {
		return cause
	}
	return errInterrupted
}

// StepError is the error of a step of `up`.
type StepError struct {
	Step string // its title
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap returns what went wrong in the step.
func (e *StepError) Unwrap() error { return e.Err }
