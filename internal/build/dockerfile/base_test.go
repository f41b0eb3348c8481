package dockerfile_test

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/docker"
)

// loadBase gives the engine an image of one layer, whose files are of a time of their own, and returns the layer's digest.
func loadBase(t *testing.T, tag name.Tag) string {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	if err := writer.WriteHeader(&tar.Header{Name: "base", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(1_000_000_000, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	engine, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	reader, pipe := io.Pipe()
	go func() { pipe.CloseWithError(tarball.Write(tag, image, pipe)) }()
	if err := engine.Load(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	sum, err := layer.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	return sum.String()
}

// The layers of a base that the engine has are the base's own; only what the Dockerfile adds has its times fixed.
func TestBaseStaysAsItIs(t *testing.T) {
	engine(t)
	tag, err := name.NewTag("slipway.test/below:" + strings.ToLower(filepath.Base(filepath.Dir(t.TempDir()))))
	if err != nil {
		t.Fatal(err)
	}
	below := loadBase(t, tag)
	b := newBuilder(t, appfile.Dockerfile{})
	built, err := b.Build(t.Context(), request(folder(t, "-- Dockerfile --\nFROM "+tag.String()+"\nCOPY a /a\n-- a --\na\n")))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := built.Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 2 {
		t.Fatalf("the image has %d layers, want 2", len(layers))
	}
	if got, err := layers[0].DiffID(); err != nil || got.String() != below {
		t.Errorf("the base's layer is %s, want %s (%v)", got, below, err)
	}
	looked, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer looked.Close()
	id, err := looked.ImageID(t.Context(), tag.String())
	if err != nil {
		t.Fatal(err)
	}
	info, err := looked.Info(t.Context())
	if err != nil || info.ID == "" {
		t.Fatalf("the engine has no id: %v", err)
	}
	if want := []build.Base{{Name: tag.String(), Digest: id, Engine: info.ID}}; !slices.Equal(built.Bases, want) {
		t.Errorf("bases %+v, want %+v", built.Bases, want)
	}
	stream, err := layers[1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if header, err := tar.NewReader(stream).Next(); err != nil || !header.ModTime.Equal(time.Unix(0, 0)) {
		t.Errorf("what was added begins with %+v (%v)", header, err)
	}

	e, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.RemoveImage(t.Context(), docker.Image{ID: tag.String()}); err != nil {
		t.Error(err)
	}
	_, err = newBuilder(t, appfile.Dockerfile{}).Build(t.Context(), request(folder(t, "-- Dockerfile --\nFROM 127.0.0.1:1/none:1\n")))
	if err == nil || !strings.Contains(err.Error(), "does not have the base 127.0.0.1:1/none:1") {
		t.Errorf("a base that is nowhere: %v", err)
	}
}
