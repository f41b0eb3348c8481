package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
)

// DownOptions are the flags of `down`.
type DownOptions struct {
	bootstrap.DownOptions // Progress and Log are set by the run

	Mode    ui.Mode
	Verbose bool

	deps *Deps
}

// NewCmdDown returns the `down` command. Tests pass run to capture the options.
func NewCmdDown(d *Deps, run func(context.Context, *DownOptions) error) *cobra.Command {
	if run == nil {
		run = runDown
	}
	o := &DownOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the environment",
		Long: `Remove the environment: its containers, the registry's volume, its network, its context in
your kubeconfig and its log files. Nothing that slipway did not make is touched, and other
environments stay. Running it twice is fine.`,
		Example: `  slipway down

  # keep what was pushed: the next ` + "`up`" + ` has it again
  slipway down --keep-registry

  # one of several environments
  slipway down --name review`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	addName(cmd, d, &o.Name)
	cmd.Flags().BoolVar(&o.KeepRegistry, "keep-registry", false, "keep the registry's volume with all images")
	addKubeconfig(cmd, &o.Kubeconfig, "the kubeconfig `file` that the context is taken out of (default: as kubectl chooses)")
	addProgress(cmd, &o.Mode)
	addVerbose(cmd, &o.Verbose)
	return cmd
}

func runDown(ctx context.Context, o *DownOptions) error {
	s := newSession(ctx, o.deps.Streams, sessionOptions{verb: "down", name: o.Name, mode: o.Mode, verbose: o.Verbose})
	o.Progress, o.Log = s, s.log
	removal, err := o.deps.Down(ctx, o.DownOptions)
	if err != nil && ctx.Err() != nil {
		err = hint.Withf(err, "`slipway down%s` goes on from here", named(o.Name))
	}
	err = s.end(err)
	if err == nil {
		err = removeLogs(o.Name) // only now: the log of a failure is wanted
	}
	if removal == nil {
		return err
	}
	if o.Mode == ui.JSON {
		return errors.Join(err, ui.PrintResult(o.deps.Streams, removal))
	}
	printRemoval(o, removal, err)
	return err
}

func printRemoval(o *DownOptions, removal *bootstrap.Removal, err error) {
	streams := o.deps.Streams
	switch {
	case len(removal.Removed) > 0:
		ui.Printf(streams, "Removed:\n")
		for _, what := range removal.Removed {
			ui.Printf(streams, "  %s\n", what)
		}
	case err == nil:
		ui.Printf(streams, "%s", nothingToRemove(o))
	}
	for _, what := range removal.Kept {
		ui.Printf(streams, "Kept: %s\n", what)
	}
}

func nothingToRemove(o *DownOptions) string {
	return fmt.Sprintf("Nothing to remove: there is no environment %q.\n", o.Name)
}
