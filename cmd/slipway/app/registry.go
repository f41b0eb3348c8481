package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/contents"
)

// NewCmdRegistry returns the `registry` command, which holds what is done with the environment's registry.
func NewCmdRegistry(d *Deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "List, remove and collect the images in the registry",
		Long: `Look into the environment's registry and clean it up. ` + "`slipway dev`" + ` keeps it within a
budget by itself; these are for looking, and for doing it by hand.`,
		Example: `  slipway registry ls
  slipway registry gc --dry-run`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(NewCmdRegistryList(d, nil), NewCmdRegistryRemove(d, nil), NewCmdRegistryCollect(d, nil))
	return cmd
}

// RegistryListOptions are the flags of `registry ls`.
type RegistryListOptions struct {
	Name       environment.Name
	Repository string // "" lists all
	Output     string // "", json or yaml

	deps *Deps
}

// NewCmdRegistryList returns the `registry ls` command. Tests pass run to capture the options.
func NewCmdRegistryList(d *Deps, run func(context.Context, *RegistryListOptions) error) *cobra.Command {
	if run == nil {
		run = runRegistryList
	}
	o := &RegistryListOptions{deps: d}
	cmd := &cobra.Command{
		Use:     "ls [REPOSITORY]",
		Aliases: []string{"list"},
		Short:   "List repositories, or the images in one",
		Long: `List the repositories, or the images in one, the newest first: their tags, how large they
are, and when they were last pushed. What is attached to an image, such as its source and its
bill of materials, is listed below it. Sizes count layers that images share with each.`,
		Example: `  slipway registry ls
  slipway registry ls apps/hello

  # the digests of all images, for scripts
  slipway registry ls -o json | jq -r '.images[] | .repository + "@" + .digest'`,
		Args: atMostOne("repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Repository = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	addOutput(cmd, &o.Output, "json", "yaml")
	cmd.ValidArgsFunction = completeImages(d, &o.Name, func(image contents.Image) []string { return []string{image.Repository} })
	return cmd
}

func runRegistryList(ctx context.Context, o *RegistryListOptions) error {
	host, err := o.deps.Registry(ctx, o.Name)
	if err != nil {
		return err
	}
	listing, err := registry.List(ctx, host)
	if err != nil {
		return err
	}
	if o.Repository != "" {
		repository, err := withoutHost(host, o.Repository)
		if err != nil {
			return err
		}
		listing.Images = slices.DeleteFunc(listing.Images, func(image contents.Image) bool { return image.Repository != repository })
		if len(listing.Images) == 0 {
			return hint.Withf(fmt.Errorf("registry %s has no repository %q", host, repository), "`slipway registry ls%s` lists those that it has", named(o.Name))
		}
	}
	switch {
	case o.Output != "":
		return ui.PrintData(o.deps.Streams, o.Output, listing)
	case o.Repository != "":
		return printImages(o.deps.Streams, listing.Images)
	}
	return printRepositories(o.deps.Streams, host, listing)
}

func printRepositories(streams *ui.Streams, host string, listing *contents.Listing) error {
	if len(listing.Images) == 0 {
		ui.Printf(streams, "Registry %s is empty.\n", host)
		return nil
	}
	table := ui.NewTable(streams, "")
	table.Row(ui.Text("REPOSITORY", "IMAGES", "SIZE", "PUSHED")...)
	images, size := 0, int64(0)
	for i, image := range listing.Images { // sorted by repository, the newest first
		if image.ArtifactType == "" {
			images++
		}
		size += image.Size
		if last := i == len(listing.Images)-1; last || listing.Images[i+1].Repository != image.Repository {
			newest := listing.Images[slices.IndexFunc(listing.Images, func(other contents.Image) bool { return other.Repository == image.Repository })]
			table.Row(ui.Text(image.Repository, fmt.Sprint(images), byteSize(size), ago(newest.Pushed))...)
			images, size = 0, 0
		}
	}
	if err := table.Print(); err != nil {
		return err
	}
	ui.Printf(streams, "\nRegistry %s takes %s on the disk.\n", host, byteSize(listing.Used))
	return nil
}

// printImages lists the images of one repository, each with what is attached to it.
func printImages(streams *ui.Streams, images []contents.Image) error {
	table := ui.NewTable(streams, "")
	table.Row(ui.Text("DIGEST", "SIZE", "PUSHED", "TAGS")...)
	var row func(image contents.Image, depth int)
	row = func(image contents.Image, depth int) {
		what := strings.Join(image.Tags, ", ")
		if image.ArtifactType != "" {
			what = strings.TrimPrefix(what+", "+image.ArtifactType, ", ")
		}
		table.Row(ui.Cell{Text: image.Digest, Indent: 2 * depth}, ui.Cell{Text: byteSize(image.Size)}, ui.Cell{Text: ago(image.Pushed)}, ui.Cell{Text: what})
		for _, attached := range images {
			if attached.Subject == image.Digest && attached.Digest != image.Digest {
				row(attached, depth+1)
			}
		}
	}
	for _, image := range images {
		if !slices.ContainsFunc(images, func(other contents.Image) bool { return other.Digest == image.Subject }) {
			row(image, 0)
		}
	}
	return table.Print()
}

// ago is an age in the largest unit that says something.
func ago(moment time.Time) string {
	age := time.Since(moment)
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, int(age.Seconds())))
	case age < time.Hour:
		return fmt.Sprintf("%dm ago", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(age.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(age.Hours()/24))
}

// withoutHost takes the registry's host off a reference; another registry's is an error.
func withoutHost(host, reference string) (string, error) {
	rest, found := strings.CutPrefix(reference, host+"/")
	if found {
		reference = rest
	}
	if _, err := name.ParseReference(host+"/"+reference, name.WeakValidation); err != nil {
		return "", fmt.Errorf("%q names no image: %w", reference, err)
	}
	if first, _, more := strings.Cut(reference, "/"); more && !found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return "", hint.Withf(fmt.Errorf("%q is not in registry %s", reference, host), "leave the registry out, or name %s", host)
	}
	return reference, nil
}

// findRegistry returns the address of an environment's registry.
func findRegistry(ctx context.Context, name environment.Name) (string, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer engine.Close()
	container, err := registry.Find(ctx, engine, name)
	if errors.Is(err, docker.ErrNotFound) {
		return "", hint.Withf(fmt.Errorf("environment %q has no registry", name), "`slipway up%s` makes the environment, or repairs it", named(name))
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("localhost:%d", container.HostPort(environment.RegistryPort)), nil
}

// completeImages completes an argument with what of names each image in the registry.
func completeImages(d *Deps, name *environment.Name, of func(contents.Image) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), nameCompletionLimit)
		defer cancel()
		host, err := d.Registry(ctx, *name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		listing, err := registry.List(ctx, host)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var choices []string
		for _, image := range listing.Images {
			choices = append(choices, of(image)...)
		}
		slices.SortFunc(choices, cmp.Compare)
		return slices.Compact(choices), cobra.ShellCompDirectiveNoFileComp
	}
}
