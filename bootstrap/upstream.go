package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/registry"
)

// findImage returns an upstream image, from wherever it is nearest: the engine, the bundle, or, where there is no bundle,
// its own registry. release frees what it needed.
func findImage(ctx context.Context, engine *docker.Engine, from *bundle.Bundle, ref string) (image v1.Image, release func(), err error) {
	nothing := func() {}
	if _, err := engine.ImageID(ctx, ref); err == nil {
		return saved(ctx, engine, os.TempDir(), ref)
	} else if !errors.Is(err, docker.ErrNotFound) {
		return nil, nothing, err
	}
	if from != nil {
		image, err := from.Find(ref, embeddedArchitecture)
		if err == nil && image == nil {
			err = notInBundle(ref, from)
		}
		return image, nothing, err
	}
	image, err = upstream(ctx, ref)
	return image, nothing, err
}

// upstream returns an image of the registry that its name says.
func upstream(ctx context.Context, ref string) (v1.Image, error) {
	source, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("reading the image name %s: %w", ref, err)
	}
	image, err := remote.Image(source, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: embeddedArchitecture}))
	if err != nil {
		return nil, missingImage(ref, err)
	}
	return image, nil
}

// saved reads an image out of the engine, through a file in dir: its layers are read several times, in any order.
func saved(ctx context.Context, engine *docker.Engine, dir, ref string) (v1.Image, func(), error) {
	nothing := func() {}
	file, err := os.CreateTemp(dir, "slipway-image-*.tar")
	if err != nil {
		return nil, nothing, fmt.Errorf("making a file for %s: %w", ref, err)
	}
	release := func() { _ = os.Remove(file.Name()) }
	if err = errors.Join(file.Close(), engine.SaveTo(ctx, file.Name(), ref)); err != nil {
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
