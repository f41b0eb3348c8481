package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway.dev/slipway/internal/collect"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry/contents"
)

// byteSize is a size in words, such as 1.5GiB.
func byteSize(size int64) string { return units.BytesSize(float64(size)) }

// sizeFlag is a number of bytes.
type sizeFlag int64

var _ pflag.Value = (*sizeFlag)(nil)

func (s *sizeFlag) String() string { return byteSize(int64(*s)) }
func (s *sizeFlag) Type() string   { return "size" }

func (s *sizeFlag) Set(text string) error {
	size, err := units.RAMInBytes(text)
	if err != nil || size < 0 {
		return errors.New("a size is a number and a unit, such as 500MiB or 5GiB")
	}
	*s = sizeFlag(size)
	return nil
}

func addDiskBudget(cmd *cobra.Command, budget *int64) {
	*budget = collect.DefaultBudget
	cmd.Flags().Var((*sizeFlag)(budget), "disk-budget", "what the images may take, each in the registry, in the engine (slipway's own) and on the node")
}

// RegistryCollectOptions are the flags of `registry gc`.
type RegistryCollectOptions struct {
	Name      environment.Name
	Budget    int64 // bytes
	OlderThan time.Duration
	DryRun    bool
	Output    string // "", json or yaml

	deps *Deps
}

// NewCmdRegistryCollect returns the `registry gc` command. Tests pass run to capture the options.
func NewCmdRegistryCollect(d *Deps, run func(context.Context, *RegistryCollectOptions) error) *cobra.Command {
	if run == nil {
		run = runRegistryCollect
	}
	o := &RegistryCollectOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove old images until the rest fits into a budget",
		Long: `Remove images from the registry, from the engine and from the node, the oldest first, until
the rest of each fits into the budget. What anything in the cluster names stays, whatever the
budget, with what is attached to it; so do the three newest tags of a repository and what is
mirrored from upstream. In the engine only images that slipway labelled are looked at, and
on the node only those of the registry. Pushes wait while it runs, and lose nothing.`,
		Example: `  slipway registry gc

  # what would go, if all that may go went
  slipway registry gc --disk-budget 0 --dry-run`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.OlderThan < 0 {
				return usage(cmd, errors.New("--older-than cannot be negative"))
			}
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	addDiskBudget(cmd, &o.Budget)
	cmd.Flags().DurationVar(&o.OlderThan, "older-than", collect.DefaultGrace, "leave alone what was pushed, or asked for, more recently")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be removed, and remove nothing")
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runRegistryCollect(ctx context.Context, o *RegistryCollectOptions) error {
	report, err := o.deps.Collect(ctx, o.Name, collect.Options{Budget: o.Budget, Grace: o.OlderThan, DryRun: o.DryRun})
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, report)
	}
	printCollected(o.deps.Streams, report, o.DryRun)
	return nil
}

func printCollected(streams *ui.Streams, r *collect.Report, dryRun bool) {
	done, freed := "Removed", "Freed"
	if dryRun {
		done, freed = "Would remove", "Would free"
	}
	for _, image := range r.Registry.Removed {
		ui.Printf(streams, "%s registry: %s@%s, pushed %s\n", done, image.Repository, image.Digest, ago(image.Pushed))
	}
	for _, image := range r.Engine.Removed {
		ui.Printf(streams, "%s engine: %s\n", done, image)
	}
	for _, image := range r.Node.Removed {
		ui.Printf(streams, "%s node: %s\n", done, image)
	}
	if r.Removed() == 0 {
		ui.Printf(streams, "No image was to be removed.\n")
	}
	ui.Printf(streams, "%s %s; now registry %s, engine %s, node %s\n", freed, byteSize(r.Freed()),
		byteSize(r.Registry.Used), byteSize(r.Engine.Used), byteSize(r.Node.Used))
}

// collectImages is collect.Collect for an environment; what o does not say is found out.
func collectImages(ctx context.Context, name environment.Name, o collect.Options) (*collect.Report, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	o.Name, o.Engine = name, engine
	if o.Registry, err = findRegistry(ctx, name); err != nil {
		return nil, err
	}
	// Out of the node, not of the user's kubeconfig: what another cluster has in use must not decide.
	if o.Kube = clusterConfig(ctx, engine, name, slog.New(slog.DiscardHandler)); o.Kube == nil {
		return nil, notRunning(name)
	}
	return collect.Collect(ctx, o)
}

// imagesInUse is collect.InUse for an environment.
func imagesInUse(ctx context.Context, name environment.Name, host string) (contents.Keep, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return contents.Keep{}, err
	}
	defer engine.Close()
	config := clusterConfig(ctx, engine, name, slog.New(slog.DiscardHandler))
	if config == nil {
		return contents.Keep{}, notRunning(name)
	}
	return collect.InUse(ctx, config, host, name.RegistryInCluster())
}

func notRunning(name environment.Name) error {
	return hint.Withf(fmt.Errorf("the cluster of environment %q does not run, so what is in use cannot be found out", name), "`slipway up%s` repairs it", named(name))
}
