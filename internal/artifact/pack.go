package artifact

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The media types of a source artifact, as Flux gives them to what `flux push artifact` pushes.
const (
	FluxConfig  = types.MediaType("application/vnd.cncf.flux.config.v1+json")
	FluxContent = types.MediaType("application/vnd.cncf.flux.content.v1.tar+gzip")
)

// createdAnnotation is Flux's, too, and OCI's.
const createdAnnotation = "org.opencontainers.image.created"

// Pack makes an OCI artifact of what write writes: a tar archive of a source. Equal archives give equal digests, on any
// machine and at any time, so that a chain does nothing for a change that changed nothing: the artifact was made in 1970,
// and says nothing of where it is from. The archive is in gzip's form but not compressed: that is what is fastest over
// loopback, and it stays the same whatever version of a compressor made it. It is held in memory.
func Pack(write func(io.Writer) error) (v1.Image, error) { return PackSized(0, write) }

// PackSized is Pack of an archive of about size bytes: that much memory is taken at once, where else it would be three
// times as much while it grows.
func PackSized(size int64, write func(io.Writer) error) (v1.Image, error) {
	var packed bytes.Buffer
	packed.Grow(room(size))
	zip, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	if err := write(zip); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("packing the source: %w", err)
	}
	archive, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(FluxContent))
	if err != nil {
		return nil, fmt.Errorf("packing the source: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), FluxConfig)
	if image, err = mutate.AppendLayers(image, archive); err != nil {
		return nil, fmt.Errorf("making the artifact: %w", err)
	}
	annotated, ok := mutate.Annotations(image, map[string]string{createdAnnotation: "1970-01-01T00:00:00Z"}).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("making the artifact: it came as %T", annotated)
	}
	return annotated, nil
}

// room is the memory, in bytes, that an archive of size bytes takes at most
// once packed: what gzip adds to what it does not compress are 5 bytes for
// 64 KiB, its head and its tail.
func room(size int64) int {
	return int(size + size/1000 + 4096)
}
