// Package dev is the inner loop: it builds a source directory, pushes the image, points the workload at it and follows
// the supply chain until a pod runs that very image; then it waits for the next save and does it again. What follows
// from the objects in the cluster is decided in state.go, without I/O; everything else fetches for it or shows it.
// Building, pushing and watching files are in packages build, registry and watch.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/ui"
)

// DefaultTimeout is how long a run may take.
const DefaultTimeout = 5 * time.Minute

// Options are what Run needs. Dir, Progress, Out, Kube and Builder must be set.
type Options struct {
	Dir          string // the source directory
	WorkloadFile string // "" means workload.yaml in Dir
	Main         string // which main package to build; "" means the only one

	Namespace        string // wins over the workload file's; "" leaves it to that
	DefaultNamespace string // where neither names one; "" means "default"

	Once    bool          // do one run and return how it went, instead of following saves
	Timeout time.Duration // of a run; 0 means DefaultTimeout

	Progress ui.Progress
	Out      io.Writer // gets the app's URL when a run has succeeded
	Kube     *rest.Config
	Builder  build.Builder // stays the caller's to close

	// ReportFile is where each run's report goes, as JUnit XML, with JSON beside it; a name that ends in .json turns the
	// two around. "" means none.
	ReportFile string
	// Diagnose gathers logs and objects after a failure with Once, and returns the folder that holds them; nil means
	// not to.
	Diagnose func(context.Context) (string, error)
	// Observe is called after each run that was not superseded; nil is allowed.
	Observe func(Report)
	// Up is the command that makes the environment, for advice; "" means "slipway up".
	Up string
}

// ErrTimeout is the cause of a run that took longer than its limit.
var ErrTimeout = errors.New("the time limit was reached")

// errSuperseded is the cause of a run that ended because something newer was saved.
var errSuperseded = errors.New("superseded by a newer save")

// Run does one run (Once), or follows saves until ctx ends and returns its error. Mistakes that one can see before the
// first run, such as a workload file that does not parse, end it at once; later ones are shown, and it goes on.
func Run(ctx context.Context, o Options) error {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Up == "" {
		o.Up = "slipway up"
	}
	if o.Observe == nil {
		o.Observe = func(Report) {}
	}
	s, err := newSession(ctx, o)
	if err != nil {
		if o.Once && o.ReportFile != "" {
			// CI must hear of this, too; that it cannot be written is the smaller trouble.
			_ = newRecord(o.Progress, 1, nil).finish(err).write(o.ReportFile)
		}
		return err
	}
	defer s.close()
	if o.Once {
		return s.once(ctx)
	}
	return s.loop(ctx)
}

// once is the run of CI.
func (s *session) once(ctx context.Context) error {
	report, err := s.run(ctx, 1, nil)
	if reportErr := s.keep(report); reportErr != nil && err == nil {
		err = reportErr
	}
	if err == nil {
		s.printURL(report)
		return nil
	}
	if ctx.Err() != nil || s.Diagnose == nil {
		return err
	}
	folder, diagnoseErr := s.Diagnose(ctx)
	if diagnoseErr != nil {
		s.Progress.Warn("diagnosing: %v", diagnoseErr)
		return err
	}
	s.Progress.Say("Logs, events and objects: %s", folder)
	return err
}

// keep writes the report and passes it on.
func (s *session) keep(r Report) error {
	s.Observe(r)
	if s.ReportFile == "" {
		return nil
	}
	return r.write(s.ReportFile)
}

func (s *session) printURL(r Report) {
	if r.URL != "" {
		fmt.Fprintln(s.Out, r.URL)
	}
}
