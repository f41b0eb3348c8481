package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/collect"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/contents"
)

// RegistryRemoveOptions are the flags of `registry rm`.
type RegistryRemoveOptions struct {
	Name      environment.Name
	Reference string
	Force     bool

	deps *Deps
}

// NewCmdRegistryRemove returns the `registry rm` command. Tests pass run to capture the options.
func NewCmdRegistryRemove(d *Deps, run func(context.Context, *RegistryRemoveOptions) error) *cobra.Command {
	if run == nil {
		run = runRegistryRemove
	}
	o := &RegistryRemoveOptions{deps: d}
	cmd := &cobra.Command{
		Use:     "rm REPOSITORY:TAG|REPOSITORY@DIGEST",
		Aliases: []string{"remove"},
		Short:   "Remove an image",
		Long: `Remove an image from the registry, with what is attached to it. A tag takes the image along
when it was the image's last one. What anything in the cluster names is not removed.`,
		Example: `  slipway registry rm apps/hello:old
  slipway registry rm apps/hello@sha256:0123...`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("`%s` takes one image, but got %q", cmd.CommandPath(), strings.Join(args, " ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Reference = args[0]
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	cmd.Flags().BoolVar(&o.Force, "force", false, "remove it even if something in the cluster names it, or that cannot be found out")
	cmd.ValidArgsFunction = completeImages(d, &o.Name, references)
	return cmd
}

// references are the ways to name an image.
func references(image contents.Image) []string {
	all := []string{image.Repository + "@" + image.Digest}
	for _, tag := range image.Tags {
		all = append(all, image.Repository+":"+tag)
	}
	return all
}

func runRegistryRemove(ctx context.Context, o *RegistryRemoveOptions) error {
	host, err := o.deps.Registry(ctx, o.Name)
	if err != nil {
		return err
	}
	reference, err := withoutHost(host, o.Reference)
	if err != nil {
		return err
	}
	listing, err := registry.List(ctx, host)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(listing.Images, func(image contents.Image) bool { return slices.Contains(references(image), reference) })
	if at < 0 {
		return hint.Withf(fmt.Errorf("registry %s has no image %q", host, reference), "`slipway registry ls%s REPOSITORY` lists a repository's images; name one by tag or digest", named(o.Name))
	}
	image := listing.Images[at]
	if !o.Force {
		if err := o.refuseInUse(ctx, host, reference, image); err != nil {
			return err
		}
	}
	removed, err := removeFrom(ctx, host, reference, image, listing.Images)
	for _, one := range removed {
		ui.Printf(o.deps.Streams, "Removed %s\n", one)
	}
	if err != nil {
		return err
	}
	// No budget is too small for this: it frees what nothing names, and no more.
	swept, err := registry.Sweep(ctx, host, contents.SweepRequest{Budget: math.MaxInt64, Grace: int(collect.DefaultGrace.Seconds())})
	if err == nil && swept.Freed > 0 {
		ui.Printf(o.deps.Streams, "Freed %s\n", byteSize(swept.Freed))
	}
	return err
}

// refuseInUse is an error if anything in the cluster names the image.
func (o *RegistryRemoveOptions) refuseInUse(ctx context.Context, host, reference string, image contents.Image) error {
	const advice = "--force removes it all the same"
	if strings.HasPrefix(image.Repository, contents.MirrorPrefix) {
		return hint.With(fmt.Errorf("%s is upstream's image, which the cluster pulls from here", reference), advice)
	}
	keep, err := o.deps.InUse(ctx, o.Name, host)
	if err != nil {
		return hint.With(fmt.Errorf("finding out whether %s is in use: %w", reference, err), advice)
	}
	if slices.Contains(keep.References, reference) || (goesWhole(reference, image) && (slices.Contains(keep.Digests, image.Digest) ||
		slices.ContainsFunc(image.Tags, func(tag string) bool { return slices.Contains(keep.References, image.Repository+":"+tag) }))) {
		return hint.With(fmt.Errorf("%s is in use: something in the cluster names it", reference), advice)
	}
	return nil
}

// goesWhole says whether removing the reference removes the image, and not only one of its tags.
func goesWhole(reference string, image contents.Image) bool {
	return strings.Contains(reference, "@") || len(image.Tags) < 2
}

// removeFrom removes a tag, or an image with what is attached to it, and returns what went.
func removeFrom(ctx context.Context, host, reference string, image contents.Image, all []contents.Image) ([]string, error) {
	remove := func(reference string) error {
		parsed, err := name.ParseReference(host + "/" + reference)
		if err != nil {
			return err
		}
		if err := remote.Delete(parsed, remote.WithContext(ctx)); err != nil {
			return fmt.Errorf("removing %s: %w", reference, err)
		}
		return nil
	}
	if !goesWhole(reference, image) {
		err := remove(reference)
		if err != nil {
			return nil, err
		}
		return []string{reference}, nil
	}
	var removed []string
	var errs []error
	var whole func(contents.Image)
	whole = func(image contents.Image) {
		one := image.Repository + "@" + image.Digest
		if err := remove(one); err != nil {
			errs = append(errs, err)
			return
		}
		removed = append(removed, one)
		for _, attached := range all {
			if attached.Subject == image.Digest && attached.Repository == image.Repository {
				whole(attached)
			}
		}
	}
	whole(image)
	return removed, errors.Join(errs...)
}
