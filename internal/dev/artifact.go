package dev

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/tree"
)

// The media types of a source artifact, as Flux gives them to what `flux push artifact` pushes.
const (
	fluxConfig  = types.MediaType("application/vnd.cncf.flux.config.v1+json")
	fluxContent = types.MediaType("application/vnd.cncf.flux.content.v1.tar+gzip")
)

// createdAnnotation is Flux's, too, and OCI's.
const createdAnnotation = "org.opencontainers.image.created"

// sourceArtifact is a tree as an OCI artifact. Equal trees give equal digests, on any machine and at any time, so that a
// chain does nothing for a save that changed nothing: it was made in 1970, and the repository, the revision and the real
// time are in a referrer (see registry.AttachSource). The archive is in gzip's form but not compressed: that is what
// is fastest over loopback, and it stays the same whatever version of a compressor made it.
func sourceArtifact(ctx context.Context, t *tree.Tree) (v1.Image, error) {
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	if err := t.WriteTar(ctx, zip); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("packing the source: %w", err)
	}
	archive, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(fluxContent))
	if err != nil {
		return nil, fmt.Errorf("packing the source: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), fluxConfig)
	if image, err = mutate.AppendLayers(image, archive); err != nil {
		return nil, fmt.Errorf("making the artifact: %w", err)
	}
	annotated, ok := mutate.Annotations(image, map[string]string{createdAnnotation: "1970-01-01T00:00:00Z"}).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("making the artifact: it came as %T", annotated)
	}
	return annotated, nil
}
