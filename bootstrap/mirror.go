package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
	"slipway.dev/slipway/registry/contents"
)

const mirrorPrefix = contents.MirrorPrefix

// mirroredHosts are the registries whose images are looked for in the environment's own first, and the address of
// each.
var mirroredHosts = map[string]string{
	"docker.io":       "https://registry-1.docker.io",
	"quay.io":         "https://quay.io",
	"ghcr.io":         "https://ghcr.io",
	"registry.k8s.io": "https://registry.k8s.io",
}

// pushImages puts slipwayd's image and those of the profile's components into the registry, as far as they are
// missing there.
func (u *up) pushImages(ctx context.Context, task ui.Task) (outcome, error) {
	wanted, err := u.wantedImages()
	if err != nil {
		return outcome{}, err
	}
	group, ctx := errgroup.WithContext(ctx)
	pushed := make(chan string, 1+len(wanted))
	group.Go(func() error {
		ref, err := name.NewDigest(u.slipwaydReference())
		if err != nil {
			return err
		}
		if _, err := remote.Head(ref, remote.WithContext(ctx)); err == nil {
			return nil
		}
		tag := ref.Context().Tag(u.imageDigest.Hex[:12])
		if err := remote.Write(tag, u.image, remote.WithContext(ctx)); err != nil {
			return fmt.Errorf("pushing slipwayd's image: %w", err)
		}
		pushed <- "slipwayd"
		return nil
	})
	group.Go(func() error {
		for _, ref := range wanted {
			did, err := u.provide(ctx, task, ref)
			if err != nil {
				return err
			}
			if did {
				pushed <- ref
			}
		}
		return nil
	})
	err = group.Wait()
	close(pushed)
	count := len(pushed)
	if err != nil {
		return outcome{}, err
	}
	if count == 0 {
		return outcome{detail: "all there"}, nil
	}
	return outcome{changed: true, detail: fmt.Sprintf("%d pushed", count)}, nil
}

// wantedImages are the images that the cluster may pull: those of the profile's components, and with a bundle whatever
// else is in it, such as the bases that apps are built on.
func (u *up) wantedImages() ([]string, error) {
	var wanted []string
	if u.profile.Has(profiles.CertManager) {
		wanted = certManagerImages()
	}
	if u.bundle == nil {
		return wanted, nil
	}
	images, err := u.bundle.List()
	if err != nil {
		return nil, err
	}
	needed := append([]string{cluster.NodeImage, u.NodeImage}, certManagerImages()...)
	for _, image := range images {
		if !slices.ContainsFunc(needed, func(ref string) bool { return bundle.SameName(ref, image.Name) }) {
			wanted = append(wanted, image.Name)
		}
	}
	return wanted, nil
}

// provide mirrors an image. One that is in a bundle for the sake of apps is also loaded into the engine: that is where
// builds of Dockerfiles look for their bases.
func (u *up) provide(ctx context.Context, task ui.Task, ref string) (bool, error) {
	loaded := false
	if u.bundle != nil && !slices.Contains(certManagerImages(), ref) {
		_, err := u.engine.ImageID(ctx, ref)
		if errors.Is(err, docker.ErrNotFound) {
			task.Update("loading %s into the engine", ref)
			loaded, err = u.loadFromBundle(ctx, ref)
		}
		if err != nil {
			return false, err
		}
	}
	mirrored, err := u.mirror(ctx, task, ref)
	return loaded || mirrored, err
}

// mirrorName is what an image is called in the registry's mirror.
func (u *up) mirrorName(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("reading the image name %s: %w", ref, err)
	}
	host := parsed.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io" // what containerd asks for
	}
	repository, err := name.NewRepository(fmt.Sprintf("localhost:%d/%s%s/%s", u.registryPort, mirrorPrefix, host, parsed.Context().RepositoryStr()))
	if err != nil {
		return nil, fmt.Errorf("naming the mirror of %s: %w", ref, err)
	}
	if digest, ok := parsed.(name.Digest); ok {
		return repository.Digest(digest.DigestStr()), nil
	}
	return repository.Tag(parsed.Identifier()), nil
}

// mirror puts one upstream image into the registry's mirror, from the engine, from --images, or from its own
// registry.
func (u *up) mirror(ctx context.Context, task ui.Task, ref string) (bool, error) {
	target, err := u.mirrorName(ref)
	if err != nil {
		return false, err
	}
	if _, err := remote.Head(target, remote.WithContext(ctx)); err == nil {
		return false, nil
	}
	task.Update("pushing %s", ref)
	image, release, err := findImage(ctx, u.engine, u.bundle, ref)
	if err != nil {
		return false, err
	}
	defer release()
	if err := remote.Write(target, image, remote.WithContext(ctx), remote.WithJobs(4)); err != nil {
		return false, fmt.Errorf("pushing %s to the registry: %w", ref, err)
	}
	return true, nil
}
