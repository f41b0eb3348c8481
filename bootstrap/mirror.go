package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
	"slipway.dev/slipway/registry"
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
	group, ctx := errgroup.WithContext(ctx)
	pushed := make(chan string, 16)
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
	var wanted []string
	if u.profile.Has(profiles.CertManager) {
		wanted = certManagerImages()
	}
	group.Go(func() error {
		for _, ref := range wanted {
			did, err := u.mirror(ctx, task, ref)
			if err != nil {
				return err
			}
			if did {
				pushed <- ref
			}
		}
		return nil
	})
	err := group.Wait()
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

// mirror puts one upstream image into the registry's mirror, from the engine, from --images, or from its own
// registry.
func (u *up) mirror(ctx context.Context, task ui.Task, ref string) (bool, error) {
	target, err := name.ParseReference(fmt.Sprintf("localhost:%d/%s%s", u.registryPort, mirrorPrefix, ref))
	if err != nil {
		return false, fmt.Errorf("naming the mirror of %s: %w", ref, err)
	}
	if _, err := remote.Head(target, remote.WithContext(ctx)); err == nil {
		return false, nil
	}
	task.Update("pushing %s", ref)
	image, release, err := u.findImage(ctx, ref)
	if err != nil {
		return false, err
	}
	defer release()
	if err := remote.Write(target, image, remote.WithContext(ctx), remote.WithJobs(4)); err != nil {
		return false, fmt.Errorf("pushing %s to the registry: %w", ref, err)
	}
	return true, nil
}

// findImage returns an upstream image, from wherever it is nearest; release frees what it needed.
func (u *up) findImage(ctx context.Context, ref string) (image v1.Image, release func(), err error) {
	nothing := func() {}
	if _, err := u.engine.ImageID(ctx, ref); err == nil {
		return u.saved(ctx, ref)
	} else if !errors.Is(err, docker.ErrNotFound) {
		return nil, nothing, err
	}
	dir, err := u.layoutDir()
	if err != nil {
		return nil, nothing, err
	}
	if dir != "" {
		if image, err := fromLayout(dir, ref); err != nil || image != nil {
			return image, nothing, err
		}
	}
	source, err := name.ParseReference(ref)
	if err != nil {
		return nil, nothing, fmt.Errorf("reading the image name %s: %w", ref, err)
	}
	image, err = remote.Image(source, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: embeddedArchitecture}))
	if err != nil {
		return nil, nothing, missingImage(ref, err)
	}
	return image, nothing, nil
}

// saved reads an image out of the engine, through a file: its layers are read several times, in any order.
func (u *up) saved(ctx context.Context, ref string) (v1.Image, func(), error) {
	nothing := func() {}
	stream, err := u.engine.Save(ctx, ref)
	if err != nil {
		return nil, nothing, err
	}
	defer stream.Close()
	file, err := os.CreateTemp("", "slipway-image-*.tar")
	if err != nil {
		return nil, nothing, fmt.Errorf("making a file for %s: %w", ref, err)
	}
	release := func() { _ = os.Remove(file.Name()) }
	_, err = io.Copy(file, stream)
	if err = errors.Join(err, file.Close()); err != nil {
		release()
		return nil, nothing, fmt.Errorf("reading %s out of the engine: %w", ref, err)
	}
	image, err := tarball.ImageFromPath(file.Name(), nil)
	if err == nil {
		image, err = registry.Plain(image)
	}
	if err != nil {
		release()
		return nil, nothing, fmt.Errorf("reading %s out of the engine: %w", ref, err)
	}
	return image, release, nil
}
