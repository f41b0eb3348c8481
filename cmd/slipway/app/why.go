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
	explainedArgument

	Output string // "", json or yaml
	Now    time.Time
}

// NewCmdWhy returns the `why` command. Tests pass run to capture the options.
func NewCmdWhy(d *Deps, run func(context.Context, *WhyOptions) error) *cobra.Command {
	if run == nil {
		run = runWhy
	}
	o := &WhyOptions{explainedArgument: explainedArgument{workloadArgument: workloadArgument{deps: d}}}
	cmd := &cobra.Command{
		Use:   "why WORKLOAD|KIND/NAME",
		Short: "Say why a workload or deliverable is not ready",
		Long: `Say in one paragraph why a workload, or with deliverable/NAME a deliverable, is not ready:
which stage of its supply chain or delivery, which test run or pod holds it up, since when,
and what waits for it. The exit code is 0 when it is ready, and 1 when it is not.`,
		Example: `  slipway why hello
  slipway why hello -n team
  slipway why deliverable/hello

  # for scripts
  slipway why hello -o json | jq -r .why`,
		Args:              o.parse,
		ValidArgsFunction: o.completeTarget,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Now = time.Now()
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, d)
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

// reason is what `why` says, for programs.
type reason struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Ready     bool   `json:"ready"` // it and all that has come of it
	Why       string `json:"why"`
}

func runWhy(ctx context.Context, o *WhyOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	root, err := o.deps.Explain(ctx, config, o.namespace(), o.Target)
	if err != nil {
		return err
	}
	said := explain.Why(o.namespace(), root, o.Now)
	if o.Output == "" {
		ui.Paragraph(o.deps.Streams, said)
	} else if err := ui.PrintData(o.deps.Streams, o.Output, reason{
		Kind: root.Kind, Namespace: o.namespace(), Name: root.Name, Ready: root.AllReady(), Why: said,
	}); err != nil {
		return err
	}
	if !root.AllReady() {
		return errNotReady
	}
	return nil
}
