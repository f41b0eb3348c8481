package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
)

// NewCmdImages returns the `images` command, which holds what is done with the images that `up` needs.
func NewCmdImages(d *Deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Save the images that up needs, for machines without a network",
		Long: `Work with the images that ` + "`slipway up`" + ` needs: the kind node and cert-manager. All else is in
this program.`,
		Example: `  # where there is a network
  slipway images save ./bundle

  # where there is none
  slipway up --images ./bundle`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(NewCmdImagesSave(d, nil), NewCmdImagesList(d, nil))
	return cmd
}

// ImagesSaveOptions are the flags of `images save`.
type ImagesSaveOptions struct {
	bootstrap.SaveOptions // Progress and Log are set by the run

	Mode    ui.Mode
	Verbose bool

	deps *Deps
}

// NewCmdImagesSave returns the `images save` command. Tests pass run to capture the options.
func NewCmdImagesSave(d *Deps, run func(context.Context, *ImagesSaveOptions) error) *cobra.Command {
	if run == nil {
		run = runImagesSave
	}
	o := &ImagesSaveOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "save DIR [IMAGE...]",
		Short: "Write all images that up needs into a folder",
		Long: `Write all images that ` + "`slipway up`" + ` needs into a folder, and those that you name besides, such
as the bases of your apps: out of the engine, or pulled where it lacks them. The folder is an
OCI layout in which layers are kept once.

Broken off, or with another version of slipway, it goes on with what the folder has. Until
it is complete, ` + "`up --images`" + ` refuses the folder, or uses the bundle that was there before.`,
		Example: `  slipway images save ./bundle

  # with the base of an app's Dockerfile
  slipway images save ./bundle docker.io/library/alpine:3.22`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, fmt.Errorf("`%s` takes a folder", cmd.CommandPath()))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir, o.More = args[0], args[1:]
			return run(cmd.Context(), o)
		},
	}
	addProgress(cmd, &o.Mode)
	addVerbose(cmd, &o.Verbose)
	return cmd
}

func runImagesSave(ctx context.Context, o *ImagesSaveOptions) error {
	s := newSession(ctx, o.deps.Streams, sessionOptions{verb: "images", name: environment.DefaultName, mode: o.Mode, verbose: o.Verbose})
	o.Progress, o.Log = s, s.log
	images, err := o.deps.SaveImages(ctx, o.SaveOptions)
	if err := s.end(err); err != nil {
		return err
	}
	if o.Mode == ui.JSON {
		return ui.PrintResult(o.deps.Streams, images)
	}
	ui.Printf(o.deps.Streams, "\n%d images are in %s. On a machine without a network:\n\n  slipway up --images %s\n", len(images), o.Dir, o.Dir)
	return nil
}

// ImagesListOptions are the flags of `images ls`.
type ImagesListOptions struct {
	Dir    string // "": what is needed
	Output string // "", json or yaml

	deps *Deps
}

// NewCmdImagesList returns the `images ls` command. Tests pass run to capture the options.
func NewCmdImagesList(d *Deps, run func(context.Context, *ImagesListOptions) error) *cobra.Command {
	if run == nil {
		run = runImagesList
	}
	o := &ImagesListOptions{deps: d}
	cmd := &cobra.Command{
		Use:     "ls [DIR]",
		Aliases: []string{"list"},
		Short:   "List the images that up needs, or those in a folder",
		Long: `List the images that ` + "`slipway up`" + ` needs and whether the engine has them, or the images in a
folder that ` + "`slipway images save`" + ` wrote.`,
		Example: `  slipway images ls
  slipway images ls ./bundle`,
		Args: atMostOne("folder"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Dir = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func runImagesList(ctx context.Context, o *ImagesListOptions) error {
	if o.Dir == "" {
		return listRequired(ctx, o)
	}
	saved, err := bundle.Open(o.Dir)
	if err != nil {
		return err
	}
	images, err := saved.List()
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, images)
	}
	table := ui.NewTable(o.deps.Streams, "")
	table.Row(ui.Text("IMAGE", "SIZE", "DIGEST")...)
	for _, image := range images {
		table.Row(ui.Text(image.Name, byteSize(image.Size), image.Digest)...)
	}
	return table.Print()
}

func listRequired(ctx context.Context, o *ImagesListOptions) error {
	images, err := o.deps.RequiredImages(ctx)
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, images)
	}
	table := ui.NewTable(o.deps.Streams, "")
	table.Row(ui.Text("IMAGE", "IN THE ENGINE", "FOR")...)
	for _, image := range images {
		there := ui.Cell{Text: "yes", Tone: ui.Good}
		if !image.InEngine {
			there = ui.Cell{Text: "no", Tone: ui.Bad}
		}
		table.Row(ui.Cell{Text: image.Name}, there, ui.Cell{Text: image.For})
	}
	return table.Print()
}
