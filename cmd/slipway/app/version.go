package app

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/internal/version"
)

// VersionOptions are the flags of `version`.
type VersionOptions struct {
	Output string // "", json or yaml

	deps *Deps
}

// NewCmdVersion returns the `version` command. Tests pass run to capture the options.
func NewCmdVersion(d *Deps, run func(context.Context, *VersionOptions) error) *cobra.Command {
	if run == nil {
		run = runVersion
	}
	o := &VersionOptions{deps: d}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version, and with -o what belongs to it.",
		Example: "  slipway version\n  slipway version -o json",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

// versionDetails is what -o prints.
type versionDetails struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	NodeImage string `json:"nodeImage"` // the kind node image of a new cluster
}

func runVersion(_ context.Context, o *VersionOptions) error {
	details := versionDetails{
		Version: version.Version(), Commit: version.Commit(), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, NodeImage: cluster.NodeImage,
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, details)
	}
	commit := ""
	if details.Commit != "" {
		commit = " (" + details.Commit + ")"
	}
	ui.Printf(o.deps.Streams, "slipway %s%s %s %s\n", details.Version, commit, details.Platform, details.Go)
	return nil
}
