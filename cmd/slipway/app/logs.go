package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/dev"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// LogsOptions are the flags of `logs`.
type LogsOptions struct {
	workloadArgument

	Stage    string // "" is all
	Follow   bool
	Previous bool
	Tail     int // 0 is all
	Since    time.Duration
}

// NewCmdLogs returns the `logs` command. Tests pass run to capture the options.
func NewCmdLogs(d *Deps, run func(context.Context, *LogsOptions) error) *cobra.Command {
	if run == nil {
		run = runLogs
	}
	o := &LogsOptions{workloadArgument: workloadArgument{deps: d}}
	var since limitFlag
	cmd := &cobra.Command{
		Use:   "logs WORKLOAD",
		Short: "Show what an app's pods write",
		Long: `Show the lines that the pods of a workload wrote, each with its pod in front: those of the
app, and those of its supply chain's stages. With -f it goes on until Ctrl-C, through
rollouts and restarts.`,
		Example: `  slipway logs hello
  slipway logs hello -f --tail 20
  slipway logs hello --previous          # why it crashed
  slipway logs hello --stage tester -n team`,
		Args: o.one,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.Follow && o.Previous:
				return usage(cmd, errors.New("what has ended cannot be followed: choose --follow or --previous"))
			case o.Tail < 0:
				return usage(cmd, errors.New("--tail must be 0 (all lines) or more"))
			}
			o.Workload, o.Since = args[0], time.Duration(since)
			return run(cmd.Context(), o)
		},
		ValidArgsFunction: o.completeWorkload,
	}
	f := cmd.Flags()
	f.StringVar(&o.Stage, "stage", "", "only the pods of this `stage` of the supply chain")
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until Ctrl-C")
	f.BoolVar(&o.Previous, "previous", false, "what each container wrote before it was started again")
	f.IntVar(&o.Tail, "tail", 0, "how many of the last `lines` of each container (default: all)")
	f.Var(&since, "since", "only lines that are not older than this, such as 10m (default: any age)")
	o.flags(cmd, d)
	return cmd
}

func runLogs(ctx context.Context, o *LogsOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	lines := ui.NewLogLines(o.deps.Streams, o.Workload)
	return o.deps.Logs(ctx, dev.LogsOptions{
		Kube: config, Namespace: o.namespace(), Workload: o.Workload, Stage: o.Stage,
		Follow: o.Follow, Previous: o.Previous, Tail: o.Tail, Since: o.Since, Show: lines.Show,
	})
}
