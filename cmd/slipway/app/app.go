// Package app is slipway's command line: one file per verb, each of which reads its flags, makes one call into the
// package that does the work, and shows the result. It is, with cmd/slipwayd, the only importer of cobra. What a
// verb does is in packages bootstrap, dev and profiles.
package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/internal/collect"
	"slipway.dev/slipway/internal/dev"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/explain"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/internal/wake"
	"slipway.dev/slipway/registry/contents"
)

// The exit codes.
const (
	ExitFine        = 0
	ExitFailed      = 1   // it failed, or something is not ready
	ExitUsage       = 2   // wrong usage: an unknown command or flag, or a bad value
	ExitInterrupted = 130 // Ctrl-C or SIGTERM
)

// Deps is what the verbs need. The functions are fields, so that `--help` costs nothing and a test can put others in.
type Deps struct {
	Streams *ui.Streams
	Up      func(context.Context, bootstrap.UpOptions) (*bootstrap.Summary, error)
	Down    func(context.Context, bootstrap.DownOptions) (*bootstrap.Removal, error)
	Dev     func(context.Context, dev.Options) error
	Logs    func(context.Context, dev.LogsOptions) error
	// LookAround reads what a cluster says of its environment.
	LookAround func(ctx context.Context, config *rest.Config, up string) (*dev.Environment, error)
	// Stay has work done in an environment, and again where that is made anew.
	Stay func(ctx context.Context, o dev.StayOptions, work func(context.Context, *dev.Environment, dynamic.Interface) error) error
	// Build fulfils the requests of Builds that are open now, and WatchBuilds all that come.
	Build       func(context.Context, fulfil.Options) ([]fulfil.Outcome, error)
	WatchBuilds func(context.Context, fulfil.Options) error
	// Workloads are the names of workloads to complete.
	Workloads func(ctx context.Context, config *rest.Config, namespace string) ([]string, error)
	// Deliverables are the names that `tree` and `why` complete behind deliverable/.
	Deliverables func(ctx context.Context, config *rest.Config, namespace string) ([]string, error)
	// Explain reads a workload or a deliverable, and what has come of it.
	Explain func(ctx context.Context, config *rest.Config, namespace string, target explain.Target) (*explain.Node, error)
	// Reconcile asks what an argument names to look again.
	Reconcile func(ctx context.Context, config *rest.Config, o *ReconcileOptions) ([]wake.Result, error)
	Status    func(context.Context, bootstrap.StatusOptions) (*bootstrap.Status, error)
	Doctor    func(context.Context, bootstrap.DoctorOptions) ([]bootstrap.Finding, error)
	List      func(context.Context) ([]environment.Name, error)

	SaveImages     func(context.Context, bootstrap.SaveOptions) ([]bundle.Image, error)
	RequiredImages func(context.Context) ([]bootstrap.RequiredImage, error)

	Registry func(context.Context, environment.Name) (string, error) // its address
	// Git is the address of the environment's git server.
	Git     func(context.Context, environment.Name) (string, error)
	InUse   func(ctx context.Context, name environment.Name, registry string) (contents.Keep, error)
	Collect func(context.Context, environment.Name, collect.Options) (*collect.Report, error)
}

// NewDeps returns the real ones.
func NewDeps(streams *ui.Streams) *Deps {
	return &Deps{
		Streams: streams,
		Up:      bootstrap.Up, Down: bootstrap.Down, Dev: dev.Run, Logs: dev.Logs, Workloads: dev.Workloads, Status: bootstrap.GetStatus, Doctor: bootstrap.Doctor, List: bootstrap.List,
		LookAround: dev.LookAround, Stay: dev.Stay, Build: fulfil.Once, WatchBuilds: fulfil.Watch,
		SaveImages: bootstrap.SaveImages, RequiredImages: bootstrap.RequiredImages,
		Explain: explainTarget, Deliverables: explain.Deliverables, Reconcile: askAgain,
		Registry: findRegistry, Git: findGit, InUse: imagesInUse, Collect: collectImages,
	}
}

// Run runs the command line and returns its exit code. ctx ends when the user interrupts.
func Run(ctx context.Context, streams *ui.Streams, args []string) int {
	return RunWith(ctx, NewDeps(streams), args)
}

// RunWith is Run with other dependencies.
func RunWith(ctx context.Context, d *Deps, args []string) int {
	root := NewCmdRoot(d)
	root.SetArgs(args)
	return exitCode(ctx, d.Streams, root.ExecuteContext(ctx))
}

// exitCode prints an error, once, and says what the process ends with.
func exitCode(ctx context.Context, streams *ui.Streams, err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return ExitFine
	case errors.As(err, &usage):
		ui.PrintError(streams, hint.Withf(err, "`%s --help` describes the command", usage.command))
		return ExitUsage
	case ctx.Err() != nil:
		ui.PrintInterrupted(streams, err)
		return ExitInterrupted
	case errors.Is(err, errNotReady):
		return ExitFailed // the command's output has said what
	}
	ui.PrintError(streams, err)
	if failed := (*loggedError)(nil); errors.As(err, &failed) {
		ui.PrintNote(streams, "Log:", failed.path)
	}
	return ExitFailed
}

// errNotReady makes a command end with ExitFailed without a message.
var errNotReady = errors.New("something is not ready")

// usageError is a mistake in how the command line was called.
type usageError struct {
	command string // such as "slipway up"
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(cmd *cobra.Command, err error) error {
	return &usageError{command: cmd.CommandPath(), err: err}
}

// noArguments refuses all arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd, fmt.Errorf("`%s` takes no arguments, but got %q", cmd.CommandPath(), strings.Join(args, " ")))
}

// atMostOne allows one argument; what says what it is.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return usage(cmd, fmt.Errorf("`%s` takes one %s, but got %q", cmd.CommandPath(), what, strings.Join(args, " ")))
	}
}
