package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/internal/ui"
)

// StatusOptions are the flags of `status`.
type StatusOptions struct {
	bootstrap.StatusOptions // Log is set by the run

	Output string // "", json or yaml

	deps *Deps
}

// NewCmdStatus returns the `status` command. Tests pass run to capture the options.
func NewCmdStatus(d *Deps, run func(context.Context, *StatusOptions) error) *cobra.Command {
	if run == nil {
		run = runStatus
	}
	o := &StatusOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the environment, its components and its workloads",
		Long: `Show the cluster, the registry, the components, and each workload with the stages of its
supply chain. The exit code is 1 when something is not ready, or there is no environment.`,
		Example: `  slipway status

  # for scripts
  slipway status -o json | jq '.workloads[] | {name, ready, url}'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	addName(cmd, d, &o.Name)
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runStatus(ctx context.Context, o *StatusOptions) error {
	o.Log = slog.New(slog.DiscardHandler)
	bridgeLibraries(o.Log)
	status, err := o.deps.Status(ctx, o.StatusOptions)
	if err != nil {
		return err
	}
	if o.Output != "" {
		err = ui.PrintData(o.deps.Streams, o.Output, status)
	} else {
		err = printStatus(o.deps.Streams, status)
	}
	if err == nil && !status.Ready {
		return errNotReady
	}
	return err
}

func readiness(ready bool) ui.Cell {
	if ready {
		return ui.Cell{Text: "Ready", Tone: ui.Good}
	}
	return ui.Cell{Text: "Not ready", Tone: ui.Bad}
}

func printStatus(streams *ui.Streams, s *bootstrap.Status) error {
	profile := ""
	if s.Profile != "" {
		profile = "profile " + s.Profile + ", "
	}
	ui.Printf(streams, "Environment %s: %s (%scontext %s)\n\n", s.Name, ui.Painted(streams, readiness(s.Ready)), profile, s.Context)
	table := ui.NewTable(streams, "  ")
	table.Row(ui.Cell{Text: "cluster"}, readiness(s.Cluster.Ready), ui.Cell{Text: clusterDetail(s.Cluster)})
	table.Row(ui.Cell{Text: "registry"}, readiness(s.Registry.Ready), ui.Cell{Text: joined(s.Registry.Address, s.Registry.State, s.Registry.Detail)})
	if s.Git != nil {
		table.Row(ui.Cell{Text: "git"}, readiness(s.Git.Ready), ui.Cell{Text: joined(s.Git.Address, s.Git.State, s.Git.Detail)})
	}
	for _, component := range s.Components {
		table.Row(ui.Cell{Text: component.Name}, readiness(component.Ready), ui.Cell{Text: component.Detail})
	}
	if err := table.Print(); err != nil {
		return err
	}
	if err := printWorkloads(streams, s); err != nil {
		return err
	}
	if len(s.URLs) > 0 {
		ui.Printf(streams, "\nURLs\n")
	}
	for _, url := range s.URLs {
		table.Row(ui.Text(url.Title, url.URL)...)
	}
	if err := table.Print(); err != nil {
		return err
	}
	if len(s.Notes) > 0 {
		ui.Printf(streams, "\nNotes\n")
	}
	for _, note := range s.Notes {
		table.Row(ui.Cell{Text: note})
	}
	if err := table.Print(); err != nil {
		return err
	}
	if !s.Ready {
		ui.Printf(streams, "\n")
		for _, workload := range s.Workloads {
			if !workload.Ready { // one is an example of the others
				ui.Printf(streams, "`slipway why %s --namespace %s%s` says what the workload waits for.\n", workload.Name, workload.Namespace, named(s.Name))
				break
			}
		}
		if s.Repairable() {
			ui.Printf(streams, "`slipway up%s` repairs the environment.\n", named(s.Name))
		}
		ui.Printf(streams, "`slipway diagnose%s` collects the environment's logs and events.\n", named(s.Name))
	}
	return nil
}

func clusterDetail(c bootstrap.ClusterStatus) string {
	kubernetes := ""
	if c.Version != "" {
		kubernetes = "Kubernetes " + c.Version
	}
	return joined(string(c.State), kubernetes, c.Detail)
}

func printWorkloads(streams *ui.Streams, s *bootstrap.Status) error {
	ui.Printf(streams, "\nWorkloads\n")
	table := ui.NewTable(streams, "  ")
	if len(s.Workloads) == 0 {
		none := "none yet; `slipway dev" + named(s.Name) + " DIR` makes one"
		if !s.Cluster.Ready {
			none = "not known: the cluster is not ready"
		}
		table.Row(ui.Cell{Text: none, Tone: ui.Quiet})
		return table.Print()
	}
	for _, w := range s.Workloads {
		detail := w.URL
		if !w.Ready {
			detail = because(w.Reason, w.Message)
		} else if detail == "" {
			detail = "supply chain " + w.SupplyChain
		}
		table.Row(ui.Cell{Text: w.Namespace + "/" + w.Name, Tone: ui.Strong}, readiness(w.Ready), ui.Cell{Text: detail})
		for _, stage := range w.Stages {
			detail := strings.TrimSpace(stage.Kind + " " + stage.Object)
			if !stage.Ready {
				detail = joined(detail, because(stage.Reason, stage.Message))
			}
			table.Row(ui.Cell{Text: stage.Name, Indent: 2}, readiness(stage.Ready), ui.Cell{Text: detail})
		}
	}
	return table.Print()
}

// because is a condition's reason and message.
func because(reason, message string) string {
	if message == "" {
		return reason
	}
	return fmt.Sprintf("%s: %s", reason, message)
}

// joined puts commas between what is not empty.
func joined(parts ...string) string {
	var filled []string
	for _, part := range parts {
		if part != "" {
			filled = append(filled, part)
		}
	}
	return strings.Join(filled, ", ")
}
