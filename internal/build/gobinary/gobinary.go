// Package gobinary builds an image out of a Go main package: the compiled program on an otherwise empty base that has
// what a static Go program may ask of a system. It needs the go command and no engine. It builds no other languages,
// and puts no files beside the program into the image.
package gobinary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/build"
)

// Builder is a build.Builder. Its zero value is not for use; New returns one.
type Builder struct {
	base    Base
	settled *toolchain // what the go command said about its settings; nil before the first build
	layer   v1.Layer   // the base's layer; nil before the first build
	scratch string     // where the compiled program is; kept, so that an unchanged one is not linked again
}

var _ build.Builder = (*Builder)(nil)

// New returns a Builder whose images stand on base. It does no I/O.
func New(base Base) *Builder { return &Builder{base: base} }

// Build compiles the main package of r.Dir for r.Platform and makes its image.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	if r.Platform.OS != "linux" {
		return nil, fmt.Errorf("building for %s: only linux images can be built", r.Platform)
	}
	tools, err := b.toolchain(ctx, r.Dir)
	if err != nil {
		return nil, err
	}
	main, err := findMain(r.Dir, r.Main, tools.context(r.Platform))
	if err != nil {
		return nil, err
	}
	if b.scratch == "" {
		if b.scratch, err = os.MkdirTemp("", "slipway-build-"); err != nil {
			return nil, fmt.Errorf("making a folder to build in: %w", err)
		}
	}
	program := filepath.Join(b.scratch, "program")
	r.Say("compiling " + main)
	if err := tools.compile(ctx, r, main, program); err != nil {
		return nil, err
	}
	r.Say("making the image")
	image, err := b.image(r, program)
	if err != nil {
		return nil, err
	}
	return &build.Result{Image: image, Program: &build.Program{File: program, Path: entrypoint(r)}}, nil
}

// entrypoint is where the program is in the container.
func entrypoint(r build.Request) string { return path.Join("/app", r.Name) }

// Close removes the folder that holds the compiled program.
func (b *Builder) Close() error {
	if b.scratch == "" {
		return nil
	}
	scratch := b.scratch
	b.scratch = ""
	return os.RemoveAll(scratch)
}

// image puts a compiled program on the base.
func (b *Builder) image(r build.Request, program string) (v1.Image, error) {
	if b.layer == nil {
		layer, err := b.base.layer()
		if err != nil {
			return nil, fmt.Errorf("making the image's base: %w", err)
		}
		b.layer = layer
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading the compiled program: %w", err)
	}
	entrypoint := entrypoint(r)
	top, err := newLayer(types.OCIUncompressedLayer, []file{
		{name: "app/", mode: 0o755},
		{name: entrypoint[1:], mode: 0o755, content: binary},
	})
	if err != nil {
		return nil, fmt.Errorf("making the program's layer: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, b.layer, top); err != nil {
		return nil, fmt.Errorf("putting the image together: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("putting the image together: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = r.Platform.OS, r.Platform.Architecture, r.Platform.Variant
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()} // so that the digest speaks of the content alone
	config.Config = v1.Config{
		Entrypoint: []string{entrypoint},
		User:       fmt.Sprint(nonroot),
		WorkingDir: "/",
		Env:        []string{"PATH=/app:/usr/bin:/bin", "HOME=" + home, "SSL_CERT_FILE=" + certificates},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("putting the image together: %w", err)
	}
	return image, nil
}

// toolchain asks the go command for its settings, once.
func (b *Builder) toolchain(ctx context.Context, dir string) (*toolchain, error) {
	if b.settled != nil {
		return b.settled, nil
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	} else if !info.IsDir() {
		return nil, errors.New("looking at the source: " + dir + " is not a directory")
	}
	tools, err := findToolchain(ctx, dir)
	if err != nil {
		return nil, err
	}
	b.settled = tools
	return tools, nil
}
