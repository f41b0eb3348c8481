package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/explain"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// WhyOptions are the flags of `why`.
type WhyOptions struct {
	workloadArgument

	Now time.Time
}

// NewCmdWhy returns the `why` command. Tests pass run to capture the options.
func NewCmdWhy(d *Deps, run func(context.Context, *WhyOptions) error) *cobra.Command {
	if run == nil {
		run = runWhy
	}
	o := &WhyOptions{workloadArgument: workloadArgument{deps: d}}
	cmd := &cobra.Command{
		Use:   "why WORKLOAD",
		Short: "Say why a workload is not ready",
		Long: `Say in one paragraph why a workload is not ready: which stage of its supply chain or
delivery, which test run or pod holds it up, since when, and what waits for it. The exit
code is 0 when the workload is ready, and 1 when it is not.`,
		Example: `  slipway why hello
  slipway why hello -n team`,
		Args:              o.one,
		ValidArgsFunction: o.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Workload, o.Now = args[0], time.Now()
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, d)
	return cmd
}

func runWhy(ctx context.Context, o *WhyOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	root, err := o.deps.Explain(ctx, config, o.namespace(), o.Workload)
	if err != nil {
		return err
	}
	ui.Paragraph(o.deps.Streams, explain.Why(o.namespace(), root, o.Now))
	if !root.AllReady() {
		return errNotReady
	}
	return nil
}
