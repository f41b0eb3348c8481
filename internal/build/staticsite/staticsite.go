// Package staticsite builds an image that serves a folder of files on port 8080: a small server, in a layer that all
// such images share, and the files, in one of their own. It needs no engine and compiles nothing; a site that has to be
// made first is for package command.
package staticsite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

const (
	port    = 8080
	root    = "/www"
	nonroot = "65532"
)

// Server is the program that serves, as a finished gzip layer that holds it alone.
type Server struct {
	Layer        func() ([]byte, error)
	Program      string // its path in the layer, from the root
	Architecture string // in Go's words
}

// Builder is a build.Builder. Its zero value is not for use; New returns one.
type Builder struct {
	config appfile.Static
	server Server
	layer  v1.Layer // the server's; nil before the first build
}

var _ build.Builder = (*Builder)(nil)

// New returns a Builder. It does no I/O.
func New(config appfile.Static, server Server) *Builder {
	return &Builder{config: config, server: server}
}

// Build packs the folder. The same files give the same digest everywhere, as long as slipway's server is the same.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	if r.Platform.OS != "linux" || r.Platform.Architecture != b.server.Architecture {
		return nil, fmt.Errorf("building a site for %s: this slipway has a server for linux/%s alone", r.Platform, b.server.Architecture)
	}
	source, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := b.folder(source)
	if err != nil {
		return nil, err
	}
	if b.layer == nil {
		if b.layer, err = b.serverLayer(); err != nil {
			return nil, err
		}
	}
	r.Say("packing " + folder)
	files, err := pack(source, folder)
	if err != nil {
		return nil, fmt.Errorf("packing the site: %w", err)
	}
	entrypoint := []string{b.server.Program, "--root=" + root}
	if b.config.SPA {
		entrypoint = append(entrypoint, "--spa")
	}
	image, err := baseimage.Put(empty.Image, r.Platform, baseimage.Top{
		Layers: []v1.Layer{b.layer, files}, Entrypoint: entrypoint, User: nonroot, WorkingDir: root, Ports: []int{port},
	})
	if err != nil {
		return nil, err
	}
	return &build.Result{Image: image}, nil
}

// Close has nothing to remove.
func (b *Builder) Close() error { return nil }

// Folders are where tools leave a site, in the order in which they are looked at; "." is the app's folder.
func Folders() []string { return []string{"public", "dist", "build", "."} }

// Find returns the first of Folders that has an index.html.
func Find(source *tree.Tree) (string, bool) {
	for _, folder := range Folders() {
		if slices.ContainsFunc(source.Files, func(f tree.File) bool { return f.Name == path.Join(folder, "index.html") }) {
			return folder, true
		}
	}
	return "", false
}

func (b *Builder) folder(source *tree.Tree) (string, error) {
	const advice = "name the folder as build.static.folder in slipway.yaml; files that git ignores do not count, unless .slipwayignore has `!FOLDER/`"
	if b.config.Folder == "" {
		folder, found := Find(source)
		if !found {
			return "", hint.With(fmt.Errorf("%w: %s has no index.html, also not in %s", build.ErrNothingToBuild, source.Root(), strings.Join(Folders()[:3], ", ")), advice)
		}
		return folder, nil
	}
	folder := path.Clean(b.config.Folder)
	if folder != "." && !slices.ContainsFunc(source.Files, func(f tree.File) bool { return strings.HasPrefix(f.Name, folder+"/") }) {
		return "", hint.With(fmt.Errorf("%w: the folder %s in %s has no source file", build.ErrNothingToBuild, folder, source.Root()), advice)
	}
	return folder, nil
}

// notServed are the files of the app's own folder that are about it, not of it.
var notServed = []string{appfile.Name, appfile.DefaultWorkload, ".gitignore", ".slipwayignore", ".dockerignore"}

// pack makes the layer of the files.
func pack(source *tree.Tree, folder string) (v1.Layer, error) {
	site, err := source.Sub(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range site.Files {
		if folder != "." || !slices.Contains(notServed, f.Name) {
			names = append(names, f.Name)
		}
	}
	files, err := layer.FromFolder(filepath.FromSlash(site.Root()), names, root)
	if err != nil {
		return nil, err
	}
	return layer.Plain(layer.WithFolders(files))
}

func (b *Builder) serverLayer() (v1.Layer, error) {
	packed, err := b.server.Layer()
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
}
