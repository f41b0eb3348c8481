package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/draft"
	"slipway.dev/slipway/internal/hint"
)

// InitOptions are the flags of `init`.
type InitOptions struct {
	Dir    string
	Build  string // a builder; "" finds it
	Name   string // the workload's; "" is the folder's
	Force  bool
	DryRun bool
	Schema bool

	deps *Deps
}

// NewCmdInit returns the `init` command. Tests pass run to capture the options.
func NewCmdInit(d *Deps, run func(context.Context, *InitOptions) error) *cobra.Command {
	if run == nil {
		run = runInit
	}
	o := &InitOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write an app's slipway.yaml and workload.yaml",
		Long: `Look at the app in DIR (default: this folder), and write what ` + "`slipway dev`" + ` needs to know:
slipway.yaml says how it is built, workload.yaml what the supply chain is to run. A file
that is there stays as it is, unless you say --force.`,
		Example: `  slipway init
  slipway init --dry-run examples/hello

  # one of several ways to build it
  slipway init --build go --workload-name shop

  # for an editor that checks slipway.yaml
  slipway init --schema > slipway.schema.json`,
		Args: atMostOne("folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Dir = "."; len(args) > 0 {
				o.Dir = args[0]
			}
			if o.Build != "" && !slices.Contains(draft.Kinds(), o.Build) {
				return usage(cmd, fmt.Errorf("--build must be one of %s, not %q", strings.Join(draft.Kinds(), ", "), o.Build))
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Build, "build", "", "the `builder`: "+strings.Join(draft.Kinds(), ", ")+" (default: found out)")
	f.StringVar(&o.Name, "workload-name", "", "the workload's `name` (default: the folder's)")
	f.BoolVar(&o.Force, "force", false, "write over files that are there")
	f.BoolVar(&o.DryRun, "dry-run", false, "print what would be written, and write nothing")
	f.BoolVar(&o.Schema, "schema", false, "print the JSON schema of slipway.yaml, and do nothing else")
	return cmd
}

func runInit(ctx context.Context, o *InitOptions) error {
	out := o.deps.Streams.Out
	if o.Schema {
		schema, err := appfile.Schema()
		if err != nil {
			return err
		}
		_, err = out.Write(schema)
		return err
	}
	made, err := draft.Make(ctx, o.Dir, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, choose.Kind(o.Build), o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return hint.Withf(fmt.Errorf("there is no folder %s", o.Dir), "name the folder of an app")
	}
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{appfile.Name, made.App}, {appfile.DefaultWorkload, made.Workload}} {
		path := filepath.Join(o.Dir, file.name)
		if o.DryRun {
			if _, err := fmt.Fprintf(out, "--- %s\n%s", path, file.content); err != nil {
				return err
			}
			continue
		}
		said, err := o.write(path, file.content)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, said); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file that is not there, or any with --force, and says what it did.
func (o *InitOptions) write(path string, content []byte) (string, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return path + " is there already, and stays (--force writes over it)", nil
	}
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	if _, err := file.Write(content); err != nil {
		return "", errors.Join(fmt.Errorf("writing %s: %w", path, err), file.Close())
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return "wrote " + path, nil
}
