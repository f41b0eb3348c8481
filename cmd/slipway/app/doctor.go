package app

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/internal/ui"
)

// DoctorOptions are the flags of `doctor`.
type DoctorOptions struct {
	bootstrap.DoctorOptions

	Output string // "", json or yaml

	deps *Deps
}

// NewCmdDoctor returns the `doctor` command. Tests pass run to capture the options.
func NewCmdDoctor(d *Deps, run func(context.Context, *DoctorOptions) error) *cobra.Command {
	if run == nil {
		run = runDoctor
	}
	o := &DoctorOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what the environment needs of this machine",
		Long: `Check what the environment needs of this machine, and change nothing. ` + "`slipway up`" + ` makes the
same checks. The exit code is 1 when something would keep it from working.`,
		Example: `  slipway doctor

  # the errors alone, for scripts
  slipway doctor -o json | jq '.[] | select(.level == "error")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	addName(cmd, d, &o.Name)
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runDoctor(ctx context.Context, o *DoctorOptions) error {
	bridgeLibraries(slog.New(slog.DiscardHandler))
	findings, err := o.deps.Doctor(ctx, o.DoctorOptions)
	if err != nil {
		return err
	}
	if o.Output != "" {
		err = ui.PrintData(o.deps.Streams, o.Output, findings)
	} else {
		err = printFindings(o.deps.Streams, findings)
	}
	for _, finding := range findings {
		if err == nil && finding.Level == bootstrap.LevelError {
			return errNotReady
		}
	}
	return err
}

func printFindings(streams *ui.Streams, findings []bootstrap.Finding) error {
	table := ui.NewTable(streams, "")
	for _, finding := range findings {
		level := ui.Cell{Text: "ok", Tone: ui.Good}
		if finding.Level != bootstrap.LevelOK {
			level = ui.Cell{Text: string(finding.Level), Tone: ui.Bad}
		}
		table.Row(level, ui.Cell{Text: finding.Code}, ui.Cell{Text: finding.Message})
		if finding.Fix != "" {
			table.Row(ui.Cell{}, ui.Cell{}, ui.Cell{Text: "Fix: " + finding.Fix, Tone: ui.Strong})
		}
	}
	return table.Print()
}
