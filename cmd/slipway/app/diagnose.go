package app

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/bootstrap/diagnose"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// DiagnoseOptions are the flags of `diagnose`.
type DiagnoseOptions struct {
	Name       environment.Name
	Dir        string // "" makes one in the working directory
	Namespaces []string
	Output     string // "", json or yaml

	deps *Deps
}

// NewCmdDiagnose returns the `diagnose` command. Tests pass run to capture the options.
func NewCmdDiagnose(d *Deps, run func(context.Context, *DiagnoseOptions) error) *cobra.Command {
	if run == nil {
		run = runDiagnose
	}
	o := &DiagnoseOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "diagnose [DIR]",
		Short: "Write a folder with logs, events and objects, to find out what is wrong",
		Long: `Write a folder with the logs, events and objects of the environment, and a README.txt that
says first what looks wrong. Secrets are left out. It works on a broken environment too:
what cannot be collected is noted.

DIR is made when it is missing; without it, slipway-diagnose-NAME-TIME is made here.`,
		Example: `  slipway diagnose

  # in CI, into a folder that is kept
  slipway diagnose out/diagnose`,
		Args: atMostOne("folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Dir = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	cmd.Flags().StringSliceVarP(&o.Namespaces, "namespace", "n", nil, "a further `namespace` to collect; those with workloads always are")
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runDiagnose(ctx context.Context, o *DiagnoseOptions) error {
	report, err := collectDiagnosis(ctx, o.Name, o.Dir, o.Namespaces)
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, report)
	}
	printDiagnosis(o.deps.Streams, report)
	return nil
}

func printDiagnosis(streams *ui.Streams, report diagnose.Report) {
	ui.Printf(streams, "Wrote %d files; begin with %s\n", len(report.Files), filepath.Join(report.Dir, "README.txt"))
	if len(report.Problems) > 0 {
		ui.Printf(streams, "\nWhat looks wrong:\n")
	}
	for _, problem := range report.Problems {
		ui.Printf(streams, "  %s\n", problem)
	}
}

// collectDiagnosis reaches the cluster through the engine, not through the user's kubeconfig: that may be what is
// broken.
func collectDiagnosis(ctx context.Context, name environment.Name, dir string, namespaces []string) (diagnose.Report, error) {
	log := slog.New(slog.DiscardHandler)
	bridgeLibraries(log)
	engine, err := docker.Connect(ctx)
	if err != nil {
		return diagnose.Report{}, err
	}
	defer engine.Close()
	return diagnose.Collect(ctx, diagnose.Options{
		Name: name, Engine: engine, Kube: clusterConfig(ctx, engine, name, log), Dir: dir, Namespaces: namespaces,
	})
}

// clusterConfig is the connection to a running cluster, or nil.
func clusterConfig(ctx context.Context, engine *docker.Engine, name environment.Name, log *slog.Logger) *rest.Config {
	c := cluster.New(name, engine, log)
	if state, _, err := c.Inspect(ctx); err != nil || (state != cluster.Running && state != cluster.HalfMade) {
		return nil
	}
	text, err := c.Kubeconfig()
	if err != nil {
		return nil
	}
	config, err := kube.ConfigFrom(text)
	if err != nil {
		return nil
	}
	return config
}
