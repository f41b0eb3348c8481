// Package dockerfile builds an image out of a Dockerfile, with the BuildKit of the Docker engine. It sends exactly the
// source to the engine, less what .dockerignore names, and leaves no image there; what stays is BuildKit's own cache,
// which the engine bounds. It builds nothing without an engine.
package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

// Label marks the images that are in the engine while a build fetches them, so that one that a killed slipway left can
// be collected (package collect looks for this label). Its value is the name in the request.
const Label = "slipway.dev/image"

// Builder is a build.Builder. Its zero value is not for use; New returns one.
type Builder struct {
	config  appfile.Dockerfile
	connect func(context.Context) (*docker.Engine, error)
	engine  *docker.Engine // nil before the first build
	bases   *baseimage.Finder

	scratch string // holds the layers of the last image; "" before the first build
	layers  map[string]*layer.InFile
	id      string   // of the last image in the engine
	image   v1.Image // what became of it
}

var _ build.Builder = (*Builder)(nil)

// New returns a Builder for the engine that connect gives; bases stays the caller's to close. It does no I/O.
func New(config appfile.Dockerfile, connect func(context.Context) (*docker.Engine, error), bases *baseimage.Finder) *Builder {
	return &Builder{config: config, connect: connect, bases: bases, layers: map[string]*layer.InFile{}}
}

// Build builds the Dockerfile. The files' times and the image's are fixed, so that the digest speaks of the content; but
// a step that writes something else each time it really runs (a date, a log, what a network gives) has, on another
// machine or without BuildKit's cache, another digest.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	if b.engine == nil {
		if b.connect == nil {
			return nil, errors.New("building a Dockerfile needs a Docker engine")
		}
		engine, err := b.connect(ctx)
		if err != nil {
			return nil, err
		}
		b.engine = engine
	}
	source, file, err := b.context(ctx, r)
	if err != nil {
		return nil, err
	}
	secrets, err := readSecrets(r.Dir, b.config.Secrets, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	watch := newProgress(r)
	id, err := b.send(ctx, source, docker.Build{
		Dockerfile: file, Target: b.config.Target, Args: b.arguments(r), Secrets: secrets,
		Labels: map[string]string{Label: r.Name}, Platform: platformOf(r.Platform), Progress: watch.tell,
	})
	if err != nil {
		return nil, explain(err, path.Join(b.config.Context, file))
	}
	if id != b.id {
		r.Say("fetching the image from the engine")
		image, err := b.fetch(ctx, r, id, watch.bases)
		if err != nil {
			return nil, err
		}
		b.id, b.image = id, image
	}
	// BuildKit's cache makes it again in a moment.
	if err := b.engine.RemoveImage(ctx, docker.Image{ID: id}); err != nil {
		return nil, err
	}
	return &build.Result{Image: b.image, Bases: b.named(ctx, r, watch.bases)}, nil
}

// Close ends the connection and removes the layers.
func (b *Builder) Close() error {
	var errs []error
	if b.engine != nil {
		errs = append(errs, b.engine.Close())
		b.engine = nil
	}
	if b.scratch != "" {
		errs = append(errs, os.RemoveAll(b.scratch))
		b.scratch, b.id, b.image = "", "", nil
		clear(b.layers)
	}
	return errors.Join(errs...)
}

// context is the file set to send, and the Dockerfile's name in it.
func (b *Builder) context(ctx context.Context, r build.Request) (*tree.Tree, string, error) {
	source, err := r.Tree(ctx)
	if err != nil {
		return nil, "", err
	}
	folder := path.Clean(b.config.Context)
	file := path.Clean(b.config.File)
	if b.config.File == "" {
		file = path.Join(folder, "Dockerfile")
		if folder != "." && !has(source, file) && has(source, "Dockerfile") {
			file = "Dockerfile"
		}
	}
	if !has(source, file) {
		return nil, "", hint.Withf(fmt.Errorf("%w: %s has no %s", build.ErrNothingToBuild, r.Dir, file),
			"name the file as build.dockerfile.file in %s; files that git ignores do not count", appfile.Name)
	}
	if folder == "." {
		source, err = source.DockerContext(file)
		return source, file, err
	}
	inside, ok := strings.CutPrefix(file, folder+"/")
	if !ok {
		return nil, "", hint.Withf(fmt.Errorf("%s is not in the context, %s", file, folder), "put it there, or leave build.dockerfile.context out in %s", appfile.Name)
	}
	source, err = source.Sub(folder)
	if err != nil {
		return nil, "", err
	}
	source, err = source.DockerContext(inside)
	return source, inside, err
}

func has(source *tree.Tree, name string) bool {
	_, found := slices.BinarySearchFunc(source.Files, name, func(f tree.File, name string) int { return strings.Compare(f.Name, name) })
	return found
}

// arguments are the user's, and the time that tools which know it write into what they make.
func (b *Builder) arguments(r build.Request) map[string]string {
	arguments := map[string]string{"SOURCE_DATE_EPOCH": "0"}
	maps.Copy(arguments, b.config.Args)
	maps.Copy(arguments, r.Env)
	return arguments
}

// send streams the source to the engine while it is being read.
func (b *Builder) send(ctx context.Context, source *tree.Tree, order docker.Build) (string, error) {
	reader, writer := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := source.WriteTar(ctx, writer)
		writer.CloseWithError(err)
		sent <- err
	}()
	order.Context = reader
	id, err := b.engine.Build(ctx, order)
	reader.CloseWithError(io.ErrClosedPipe) // an engine that has given up reads no further
	if sendErr := <-sent; err != nil && sendErr != nil && !errors.Is(sendErr, io.ErrClosedPipe) && ctx.Err() == nil {
		return "", sendErr
	}
	return id, err
}

func platformOf(p v1.Platform) string {
	if p.Variant != "" {
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

// fetch reads an image out of the engine. Layers that the last image had, too, are not kept again; those of the base
// stay as they are.
func (b *Builder) fetch(ctx context.Context, r build.Request, id string, bases []string) (v1.Image, error) {
	if b.scratch == "" {
		scratch, err := os.MkdirTemp("", "slipway-build-")
		if err != nil {
			return nil, fmt.Errorf("making a folder for layers: %w", err)
		}
		b.scratch = scratch
	}
	archive := filepath.Join(b.scratch, "image.tar")
	defer os.Remove(archive)
	if err := b.engine.SaveTo(ctx, archive, id); err != nil {
		return nil, err
	}
	saved, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the image that the engine built: %w", err)
	}
	layers, err := b.keepLayers(saved, b.ofBases(ctx, r, bases))
	if err != nil {
		return nil, err
	}
	return put(saved, layers, r.Platform)
}

// keepLayers copies the layers that are new, and forgets those that are no more. Those in asIs keep their times.
func (b *Builder) keepLayers(saved v1.Image, asIs map[string]bool) ([]v1.Layer, error) {
	found, err := saved.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image that the engine built: %w", err)
	}
	kept := map[string]*layer.InFile{}
	var layers []v1.Layer
	for _, one := range found {
		sum, err := one.DiffID()
		if err != nil {
			return nil, err
		}
		key := sum.Hex
		if asIs[sum.String()] {
			key += "-as-is"
		}
		if kept[key] = b.layers[key]; kept[key] == nil {
			if kept[key], err = layer.Copy(one, filepath.Join(b.scratch, key), !asIs[sum.String()]); err != nil {
				return nil, err
			}
		}
		layers = append(layers, kept[key])
	}
	for key, old := range b.layers {
		if kept[key] == nil {
			_ = os.Remove(old.Path()) // it is in the scratch folder, which Close removes
		}
	}
	b.layers = kept
	return layers, nil
}
