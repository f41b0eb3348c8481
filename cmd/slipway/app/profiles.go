package app

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// ProfilesOptions are the flags of `profiles`.
type ProfilesOptions struct {
	Name   string // "" lists all
	Output string // "", json or yaml

	deps *Deps
}

// NewCmdProfiles returns the `profiles` command. Tests pass run to capture the options.
func NewCmdProfiles(d *Deps, run func(context.Context, *ProfilesOptions) error) *cobra.Command {
	if run == nil {
		run = runProfiles
	}
	o := &ProfilesOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "List what can be installed, or show one profile",
		Long: `List the profiles, or show one: its components, and the supply chains and templates that
it installs.`,
		Example: `  slipway profiles
  slipway profiles basic

  # the supply chains and templates themselves, to read or to start from
  slipway profiles basic -o yaml`,
		Args:              atMostOne("profile"),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Name = args[0]
				if _, err := profiles.Get(o.Name); err != nil {
					return usage(cmd, err)
				}
			}
			return run(cmd.Context(), o)
		},
	}
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

// profileDetails is what -o prints of one profile.
type profileDetails struct {
	profiles.Profile

	Objects []*unstructured.Unstructured `json:"objects"`
}

func runProfiles(_ context.Context, o *ProfilesOptions) error {
	streams := o.deps.Streams
	if o.Name == "" {
		if o.Output != "" {
			return ui.PrintData(streams, o.Output, profiles.All())
		}
		return listProfiles(streams)
	}
	profile, err := profiles.Get(o.Name)
	if err != nil {
		return err
	}
	objects, err := profile.Objects()
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(streams, o.Output, profileDetails{Profile: profile, Objects: objects})
	}
	return showProfile(streams, profile, objects)
}

func listProfiles(streams *ui.Streams) error {
	table := ui.NewTable(streams, "")
	table.Row(ui.Text("NAME", "SUMMARY")...)
	for _, profile := range profiles.All() {
		name := profile.Name
		if name == profiles.Default {
			name += " (default)"
		}
		table.Row(ui.Text(name, profile.Summary)...)
	}
	return table.Print()
}

func showProfile(streams *ui.Streams, profile profiles.Profile, objects []*unstructured.Unstructured) error {
	ui.Printf(streams, "%s: %s\n\nComponents\n", profile.Name, profile.Summary)
	ui.Printf(streams, "  %s\n\nObjects\n", strings.Join(profile.Components, ", "))
	if len(objects) == 0 {
		ui.Printf(streams, "  none: you bring supply chains and templates\n")
	}
	for _, object := range objects {
		ui.Printf(streams, "  %s\n", kube.Name(object))
	}
	return nil
}
