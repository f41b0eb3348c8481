// Package gobinary builds an image out of a Go main package: the compiled program and its assets, each in a layer of its
// own, on a base. It needs the go command and no engine. It builds no other languages, and nothing that needs cgo.
package gobinary

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/hint"
)

const (
	// assetsPath is where a program finds its assets; the variable tells it. Both names are those of ko, so that what was
	// written for it runs.
	assetsPath     = "/var/run/ko"
	assetsVariable = "KO_DATA_PATH"
	assetsFolder   = "kodata"

	nonroot = "65532"
)

// Builder is a build.Builder. Its zero value is not for use; New returns one.
type Builder struct {
	config  appfile.Go
	bases   *baseimage.Finder
	settled *toolchain // what the go command said about its settings; nil before the first build
	doubt   bool       // whether it may say something else now
	scratch string     // where the compiled program is; kept, so that one that is known not to have changed is not linked again
	warm    bool       // whether it has compiled a program already
	begun   begun
	learnt  learnt
}

// begun is what Begin began.
type begun struct {
	mark        uint64       // of the request
	compilation *compilation // nil for nothing
}

var (
	_ build.Beginner = (*Builder)(nil)
	_ build.Learner  = (*Builder)(nil)
)

// New returns a Builder; bases stays the caller's to close. It does no I/O.
func New(config appfile.Go, bases *baseimage.Finder) *Builder {
	return &Builder{config: config, bases: bases}
}

// Build compiles the main package of r.Dir for r.Platform and makes its image. The same tree gives the same digest
// wherever the same Go version compiles it and the base is the same.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	defer b.abandon() // what it does not go on with
	b.learnt.current = false
	if r.Fresh {
		b.abandon()
		b.learnt, b.doubt = learnt{}, true
	}
	if r.Platform.OS != "linux" {
		return nil, fmt.Errorf("building for %s: only linux images can be built", r.Platform)
	}
	if info, err := os.Stat(r.Dir); err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	} else if !info.IsDir() {
		return nil, errors.New("looking at the source: " + r.Dir + " is not a directory")
	}
	src, order, err := b.order(ctx, r)
	if err != nil {
		return nil, err
	}
	program, err := b.compile(ctx, r, src, order)
	if err != nil {
		return nil, err
	}
	r.Say("making the image")
	return b.result(ctx, r, src, order.main, program)
}

// Begins is for build.Beginner. The first build is not begun early: it may take long.
func (b *Builder) Begins() bool { return b.warm }

// Begin is for build.Beginner. It begins nothing where the go command reads more than the folder: what changes there tells
// nobody of itself.
func (b *Builder) Begin(ctx context.Context, r build.Request) <-chan struct{} {
	b.abandon()
	if !b.warm {
		return nil
	}
	src, order, err := b.order(ctx, r)
	if err != nil || !b.settled.alone(src, order) {
		return nil
	}
	c, err := b.start(ctx, src, order)
	if err != nil {
		return nil
	}
	b.begun = begun{mark: r.Mark, compilation: c}
	return c.ended
}

// abandon ends what Begin and Learn began.
func (b *Builder) abandon() {
	b.endLesson()
	if b.begun.compilation != nil {
		b.begun.compilation.abandon()
	}
	b.begun = begun{}
}

// order is how the source is compiled as it is now.
func (b *Builder) order(ctx context.Context, r build.Request) (*source, order, error) {
	tools, err := b.toolchain(ctx, r.Dir)
	if err != nil {
		return nil, order{}, err
	}
	files, err := r.Tree(ctx)
	if err != nil {
		return nil, order{}, err
	}
	src := newSource(files)
	main, err := findMain(src, r.Dir, b.main(r), tools.context(r.Platform, b.config.Tags))
	if err != nil {
		return nil, order{}, err
	}
	hidden, err := src.overlay()
	return src, tools.order(r, src.dir, b.config, b.warm, main, hidden), err
}

// main is the package that the user chose, here or in slipway.yaml.
func (b *Builder) main(r build.Request) string {
	if r.Main != "" {
		return r.Main
	}
	return b.config.Main
}

// Close ends what Begin and Learn began, and removes the folder that holds the compiled program.
func (b *Builder) Close() error {
	b.abandon()
	if b.scratch == "" {
		return nil
	}
	scratch := b.scratch
	b.scratch, b.warm, b.learnt = "", false, learnt{}
	return os.RemoveAll(scratch)
}

// compile goes on with what Begin began, or begins.
func (b *Builder) compile(ctx context.Context, r build.Request, src *source, o order) (string, error) {
	if b.scratch == "" {
		scratch, err := os.MkdirTemp("", "slipway-build-")
		if err != nil {
			return "", fmt.Errorf("making a folder to build in: %w", err)
		}
		b.scratch = scratch
	}
	program := filepath.Join(b.scratch, "program")
	r.Say("compiling " + o.main)
	c := b.begun.compilation
	if r.Mark == 0 || r.Mark != b.begun.mark || c == nil || !c.order.same(o) {
		b.abandon()
		var err error
		if c, err = b.start(ctx, src, o); err != nil {
			return "", err
		}
	}
	err := c.wait(ctx)
	if err == nil {
		if err = os.Rename(c.program, program); err != nil {
			err = fmt.Errorf("keeping the compiled program: %w", err)
		}
	}
	if err == nil {
		b.warm = true
		b.note(src, c)
	}
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) && o.hidden != nil {
		err = hint.With(err, "files that git or .slipwayignore ignore are not compiled; `!FILE` in .slipwayignore makes one of them source")
	}
	return program, err
}

// start begins to make the program, in another file than the one that Build made last: that stays what it is known to be when
// nothing comes of this. The new one begins as the same file, so that it need not be linked again where nothing has changed;
// what is linked takes its place, and leaves the other.
func (b *Builder) start(ctx context.Context, src *source, o order) (*compilation, error) {
	program, have := filepath.Join(b.scratch, "begun"), b.learnt.program
	if err := os.RemoveAll(program); err != nil {
		return nil, fmt.Errorf("making room for the program: %w", err)
	}
	if err := os.Link(filepath.Join(b.scratch, "program"), program); err != nil {
		have = ""
	}
	return b.settled.compile(ctx, o, program, b.plan(src, o), have)
}

// entrypoint is where the program is in the container.
func entrypoint(r build.Request) string { return path.Join("/app", r.Name) }

// result puts the program and its assets on the base.
func (b *Builder) result(ctx context.Context, r build.Request, src *source, main, program string) (*build.Result, error) {
	base, err := b.bases.Find(ctx, baseimage.Query{Base: b.config.Base, Dir: r.Dir, Registry: r.Registry, Platform: r.Platform, Say: r.Say})
	if err != nil {
		return nil, err
	}
	top := baseimage.Top{Entrypoint: []string{entrypoint(r)}}
	if b.config.Base == baseimage.Nothing {
		top.User, top.WorkingDir = nonroot, "/"
	}
	assets, err := b.assets(src, main)
	if err != nil {
		return nil, err
	}
	if assets != nil {
		top.Layers = append(top.Layers, assets)
		top.Env = map[string]string{assetsVariable: assetsPath}
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading the compiled program: %w", err)
	}
	compiled, err := layer.Plain(layer.WithFolders([]layer.File{{Name: entrypoint(r)[1:], Mode: 0o755, Content: binary}}))
	if err != nil {
		return nil, fmt.Errorf("making the program's layer: %w", err)
	}
	top.Layers = append(top.Layers, compiled)
	image, err := baseimage.Put(base, r.Platform, top)
	if err != nil {
		return nil, err
	}
	evidence, err := billOfMaterials(program, r.Name, image)
	if err != nil {
		return nil, err
	}
	made := &build.Result{Image: image, Evidence: evidence, Program: &build.Program{File: program, Path: entrypoint(r)}}
	return made, baseimage.Tell(made, b.config.Base, base, top)
}

// assets packs the folder that slipway.yaml names, or kodata in the main package; nil when there is none.
func (b *Builder) assets(src *source, main string) (v1.Layer, error) {
	folder := path.Clean(b.config.Assets)
	if b.config.Assets == "" {
		folder = path.Join(main, assetsFolder)
	}
	if !src.folders[folder] {
		if b.config.Assets == "" {
			return nil, nil
		}
		return nil, hint.With(fmt.Errorf("the folder of assets, %s, has no source file", folder), "correct build.go.assets in slipway.yaml; files that git ignores do not count")
	}
	var names []string
	for name := range src.files {
		if inside, ok := strings.CutPrefix(name, folder+"/"); ok {
			names = append(names, inside)
		}
	}
	files, err := layer.FromFolder(filepath.Join(src.dir, filepath.FromSlash(folder)), names, assetsPath)
	if err != nil {
		return nil, fmt.Errorf("making the layer of assets: %w", err)
	}
	assets, err := layer.Plain(layer.WithFolders(files))
	if err != nil {
		return nil, fmt.Errorf("making the layer of assets: %w", err)
	}
	return assets, nil
}

// toolchain asks the go command for its settings, once, and again where it may say something else.
func (b *Builder) toolchain(ctx context.Context, dir string) (*toolchain, error) {
	if b.settled != nil && !b.doubt {
		return b.settled, nil
	}
	tools, err := findToolchain(ctx, dir)
	if err != nil {
		return nil, err
	}
	if b.settled != nil && !maps.Equal(b.settled.settings(), tools.settings()) {
		b.learnt.pass, b.learnt.passed = 0, 0
	}
	b.settled, b.doubt = tools, false
	return tools, nil
}
