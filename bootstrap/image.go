package bootstrap

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/embedded/slipwayd"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/git/container"
	"slipway.dev/slipway/registry"
)

const embeddedArchitecture = slipwayd.Architecture

// ownImageLabel marks slipwayd's image in the engine, so that `down` can remove it.
const ownImageLabel, ownImageValue = "slipway.dev/image", "slipwayd"

// slipwaydRepository is where slipwayd's image is in the registry, beside the apps'.
const slipwaydRepository = "slipway/slipwayd"

// slipwaydImage makes the image of slipwayd out of the embedded layer: no build, no pull, the same digest each time.
func slipwaydImage() (v1.Image, error) {
	packed, err := slipwayd.Layer()
	if err != nil {
		return nil, err
	}
	certificates, err := embedded.CACertificates()
	if err != nil {
		return nil, err
	}
	base, err := baseLayer(certificates)
	if err != nil {
		return nil, fmt.Errorf("packing slipwayd's base layer: %w", err)
	}
	program, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
	if err != nil {
		return nil, fmt.Errorf("reading slipwayd's layer: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, base, program)
	if err != nil {
		return nil, fmt.Errorf("assembling slipwayd's image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assembling slipwayd's image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", slipwayd.Architecture
	file.Config = v1.Config{
		Entrypoint: []string{"/slipwayd"}, User: "65532:65532", WorkingDir: "/",
		Env:    []string{"PATH=/", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels: map[string]string{ownImageLabel: ownImageValue},
	}
	return mutate.ConfigFile(image, file)
}

// baseLayer holds the certificates with which other registries are reached, and the folders of the registry and the git
// server, owned by the user that the image runs as: a fresh volume takes the owner of the folder that it is mounted on.
func baseLayer(certificates []byte) (v1.Layer, error) {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	folder := func(path string, mode int64, owner int) *tar.Header {
		return &tar.Header{Name: path, Typeflag: tar.TypeDir, Mode: mode, Uid: owner, Gid: owner}
	}
	for _, header := range []*tar.Header{
		folder("etc/", 0o755, 0), folder("etc/ssl/", 0o755, 0), folder("etc/ssl/certs/", 0o755, 0), folder("tmp/", 0o1777, 0),
		folder("var/", 0o755, 0), folder("var/lib/", 0o755, 0), folder(registry.Root[1:]+"/", 0o755, 65532),
		folder(container.Root[1:]+"/", 0o755, 65532),
		{Name: "etc/ssl/certs/ca-certificates.crt", Typeflag: tar.TypeReg, Mode: 0o444, Size: int64(len(certificates))},
	} {
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	if _, err := archive.Write(certificates); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil })
}

// slipwaydTag is the image's name in the engine; it says which content it is, so that two versions do not meet.
func slipwaydTag(digest v1.Hash) string { return "slipway.dev/slipwayd:" + digest.Hex[:12] }

// loadImage puts an image into the engine under a tag.
func loadImage(ctx context.Context, engine *docker.Engine, tag string, image v1.Image) error {
	ref, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("naming %s: %w", tag, err)
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(tarball.Write(ref, image, writer)) }()
	defer reader.Close()
	return engine.Load(ctx, reader)
}

// loadFromBundle loads an image of --images into the engine; false when it is not there, or no bundle was given.
func (u *up) loadFromBundle(ctx context.Context, ref string) (bool, error) {
	if u.bundle == nil {
		return false, nil
	}
	image, err := u.bundle.Find(ref, embeddedArchitecture)
	if err != nil || image == nil {
		return false, err
	}
	return true, loadImage(ctx, u.engine, ref, image)
}
