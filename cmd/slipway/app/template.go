package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/supplychain/templatetest"
	"slipway.dev/slipway/internal/ui"
)

// NewCmdTemplate returns the `template` command, which holds what is done with templates.
func NewCmdTemplate(d *Deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "template",
		Short:   "Test the templates of supply chains",
		Long:    `Work on the templates of supply chains, without a cluster.`,
		Example: `  slipway template test tests/`,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(NewCmdTemplateTest(d, nil))
	return cmd
}

// TemplateTestOptions are the flags of `template test`.
type TemplateTestOptions struct {
	Dir     string
	Verbose bool
	Output  string // "", json or yaml

	deps *Deps
}

// NewCmdTemplateTest returns the `template test` command. Tests pass run to capture the options.
func NewCmdTemplateTest(d *Deps, run func(context.Context, *TemplateTestOptions) error) *cobra.Command {
	if run == nil {
		run = runTemplateTest
	}
	o := &TemplateTestOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "test DIR",
		Short: "Test templates against what they must render",
		Long: `Run the tests below a folder, without a cluster. Each folder without folders in it is a test:

  template.yaml    the template
  workload.yaml    the workload that it is rendered for
  expected.yaml    the object that must come of it
  info.yaml        optional: the inputs, the params, and what is not compared

A file that a folder has not is taken from the nearest folder above that has it. The files
are those of Cartographer's cartotest. The exit code is 1 when a test fails, and when tests
with "focus: true" kept others from being run.`,
		Example: `  slipway template test tests/

  # the failed tests alone, for programs
  slipway template test tests/ -o json | jq '.[] | select(.passed | not)'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("`%s` takes one folder, but got %q", cmd.CommandPath(), strings.Join(args, " ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = args[0]
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVarP(&o.Verbose, "verbose", "v", false, "also print the tests' names and descriptions")
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

// templateTestResult is what -o prints of one test.
type templateTestResult struct {
	Dir         string `json:"dir"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Passed      bool   `json:"passed"`
	Error       string `json:"error,omitempty"`
}

func runTemplateTest(ctx context.Context, o *TemplateTestOptions) error {
	streams := o.deps.Streams
	results, err := templatetest.Run(ctx, o.Dir)
	if err != nil {
		return err
	}
	failed, focused := false, false
	data := []templateTestResult{}
	for _, result := range results {
		shown := templateTestResult{Dir: result.Dir, Name: result.Name, Description: result.Description, Passed: result.Err == nil}
		if result.Err != nil {
			failed = true
			shown.Error = result.Err.Error()
		}
		focused = focused || result.Focused
		data = append(data, shown)
	}
	if o.Output != "" {
		if err := ui.PrintData(streams, o.Output, data); err != nil {
			return err
		}
	} else {
		printTests(streams, data, o.Verbose)
		if focused {
			ui.Printf(streams, "only tests with focus: true were run, which is no success\n")
		}
		ui.Printf(streams, "%s\n", verdict(streams, !failed && !focused))
	}
	if failed || focused {
		return errNotReady
	}
	return nil
}

func printTests(streams *ui.Streams, results []templateTestResult, verbose bool) {
	for _, result := range results {
		ui.Printf(streams, "%s: %s\n", verdict(streams, result.Passed), result.Dir)
		if verbose && result.Name != "" {
			ui.Printf(streams, "  Name: %s\n", result.Name)
		}
		if verbose && result.Description != "" {
			ui.Printf(streams, "  Description: %s\n", indented(result.Description))
		}
		if result.Error != "" {
			ui.Printf(streams, "  %s\n", indented(result.Error))
		}
	}
}

func verdict(streams *ui.Streams, passed bool) string {
	if passed {
		return ui.Painted(streams, ui.Cell{Text: "PASS", Tone: ui.Good})
	}
	return ui.Painted(streams, ui.Cell{Text: "FAIL", Tone: ui.Bad})
}

// indented puts the lines of a text after the first below it.
func indented(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
