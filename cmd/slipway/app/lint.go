package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/supplychain/lint"
	"slipway.dev/slipway/internal/ui"
)

// LintOptions are the flags of `lint`.
type LintOptions struct {
	Paths  []string // files, folders, or - for standard input
	Strict bool
	Output string // "", json or yaml

	deps *Deps
}

// NewCmdLint returns the `lint` command. Tests pass run to capture the options.
func NewCmdLint(d *Deps, run func(context.Context, *LintOptions) error) *cobra.Command {
	if run == nil {
		run = runLint
	}
	o := &LintOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Find mistakes in supply chains and templates",
		Long: `Find mistakes in supply chains, deliveries and templates, without a cluster: fields that do
not exist, what the API server refuses, paths in templates that can lead nowhere, inputs
that no resource provides, and a $( without its end. Chains are compared with the templates
that are given with them.

FILE is a file, a folder (its .yaml and .yml files, and those below), or - for standard
input. The exit code is 1 when there is an error.`,
		Example: `  slipway lint supply-chains/

  # warnings are errors too, for CI
  slipway lint --strict supply-chains/ templates/

  # what a cluster has
  kubectl get clustersupplychains,clustertemplates -o yaml | slipway lint -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, fmt.Errorf("`%s` needs a file or a folder", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Paths = args
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "also end with exit code 1 when there is a warning")
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runLint(ctx context.Context, o *LintOptions) error {
	streams := o.deps.Streams
	sources, err := readSources(ctx, streams.In, o.Paths)
	if err != nil {
		return err
	}
	report, err := lint.Check(sources)
	if err != nil {
		return err
	}
	if report.Objects == 0 {
		return hint.With(errors.New("there is no object of carto.run in it"), "Name the files of your supply chains and templates.")
	}
	failures, warnings := 0, 0
	for _, finding := range report.Findings {
		if finding.Level == lint.Error {
			failures++
		} else {
			warnings++
		}
	}
	if o.Output != "" {
		findings := report.Findings
		if findings == nil {
			findings = []lint.Finding{}
		}
		if err := ui.PrintData(streams, o.Output, findings); err != nil {
			return err
		}
	} else {
		printLint(streams, report, failures, warnings)
	}
	if failures > 0 || o.Strict && warnings > 0 {
		return errNotReady
	}
	return nil
}

func printLint(streams *ui.Streams, report *lint.Report, failures, warnings int) {
	for _, finding := range report.Findings {
		level := ui.Painted(streams, ui.Cell{Text: string(finding.Level), Tone: ui.Bad})
		object := ""
		if finding.Object != "" {
			object = finding.Object + ": "
		}
		ui.Printf(streams, "%s:%d: %s: %s%s\n", finding.File, finding.Line, level, object, indented(finding.Message))
	}
	ui.Printf(streams, "%s, %s, %s\n", counted(report.Objects, "object"), counted(failures, "error"), counted(warnings, "warning"))
}

func counted(number int, noun string) string {
	if number == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", number, noun)
}

// readSources reads files, the YAML files of folders, and standard input.
func readSources(ctx context.Context, in io.Reader, paths []string) ([]lint.Source, error) {
	var sources []lint.Source
	for _, path := range paths {
		if path == "-" {
			data, err := io.ReadAll(in)
			if err != nil {
				return nil, fmt.Errorf("reading standard input: %w", err)
			}
			sources = append(sources, lint.Source{Name: "standard input", Data: data})
			continue
		}
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			isYAML := strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")
			if err != nil || entry.IsDir() || file != path && !isYAML {
				return err
			}
			data, err := os.ReadFile(file)
			sources = append(sources, lint.Source{Name: file, Data: data})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return sources, nil
}
