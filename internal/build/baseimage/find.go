package baseimage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/hint"
)

// Nothing is the base on which there is nothing at all, not even certificates.
const Nothing = "scratch"

// mirror is the prefix below which the environment's registry keeps images of other registries.
const mirror = "mirror"

// Finder finds bases. It remembers them, so that a build with a base that did not change reads it once; it is not
// safe for concurrent use. The zero value knows slipway's own base without certificates and time zones, and no engine.
type Finder struct {
	Own Own
	// Engine connects to the engine; nil means that there is none. Its error means that it is passed over.
	Engine func(context.Context) (*docker.Engine, error)

	own     v1.Image
	known   map[string]v1.Image // by where it was found, with its digest
	scratch string              // where images out of the engine are; "" before the first
}

// Query says which base is wanted.
type Query struct {
	Base     string // "" is slipway's own; Nothing; a folder with an OCI layout (./, ../ or /); or an image's name
	Dir      string // what a folder is relative to
	Registry string // the environment's, such as localhost:5000; "" is none
	Platform v1.Platform
	Say      func(string)
}

// Find returns the base. An image that is in the environment's registry, in its mirror or in the engine is taken from
// there, in this order; only one that is nowhere near is asked for over the network.
func (f *Finder) Find(ctx context.Context, q Query) (v1.Image, error) {
	switch {
	case q.Base == "":
		if f.own == nil {
			image, err := f.Own.image()
			if err != nil {
				return nil, fmt.Errorf("making slipway's base: %w", err)
			}
			f.own = image
		}
		return f.own, nil
	case q.Base == Nothing:
		return empty.Image, nil
	}
	image, err := f.named(ctx, q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("finding the base %s: %w", q.Base, err)
	}
	if err := Fits(image, q.Platform); err != nil {
		return nil, fmt.Errorf("the base %s: %w", q.Base, err)
	}
	return image, nil
}

// Close removes what was taken out of the engine.
func (f *Finder) Close() error {
	f.known = nil
	if f.scratch == "" {
		return nil
	}
	scratch := f.scratch
	f.scratch = ""
	return os.RemoveAll(scratch)
}

func (f *Finder) named(ctx context.Context, q Query) (v1.Image, error) {
	if f.known == nil {
		f.known = map[string]v1.Image{}
	}
	if isFolder(q.Base) {
		folder := filepath.FromSlash(q.Base)
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(q.Dir, folder)
		}
		return FromLayout(folder, q.Platform)
	}
	reference, err := name.ParseReference(q.Base)
	if err != nil {
		return nil, err
	}
	if image, err := f.nearby(ctx, q, reference); image != nil || err != nil {
		return image, err
	}
	if image, err := f.fromEngine(ctx, q.Base); image != nil || err != nil {
		return image, err
	}
	if image, found := f.known[reference.Name()]; found {
		return image, nil // the network is asked once
	}
	q.Say("asking " + reference.Context().RegistryStr() + " for the base " + q.Base)
	image, err := f.remote(ctx, reference, q.Platform)
	if err != nil {
		advice := "without a network, load it into the engine with `docker load`"
		if q.Registry != "" && !strings.Contains(reference.Context().RegistryStr(), ":") {
			advice += ", or push it to the environment's registry as " + inRegistry(q.Registry, reference)
		}
		return nil, hint.With(err, advice)
	}
	f.known[reference.Name()] = image
	return image, nil
}

// nearby looks in the environment's registry: nil when it is not there.
func (f *Finder) nearby(ctx context.Context, q Query, reference name.Reference) (v1.Image, error) {
	here, err := nearby(reference, q.Registry)
	if here == nil || err != nil {
		return nil, err
	}
	found, err := remote.Head(here, remote.WithContext(ctx))
	if err != nil {
		return nil, ctx.Err() // not there, or the registry is down: then it is looked for elsewhere
	}
	key := here.Context().Digest(found.Digest.String()).String()
	if image, known := f.known[key]; known {
		return image, nil
	}
	image, err := f.remote(ctx, here, q.Platform)
	if err != nil {
		return nil, err
	}
	f.known[key] = image
	return image, nil
}

// Nearby is where the environment's registry would have a base; nil where it cannot have it. It is not looked for.
func Nearby(base, registry string) name.Reference {
	if base == "" || base == Nothing || isFolder(base) {
		return nil
	}
	reference, err := name.ParseReference(base)
	if err != nil {
		return nil
	}
	here, err := nearby(reference, registry)
	if err != nil {
		return nil
	}
	return here
}

func nearby(reference name.Reference, registry string) (name.Reference, error) {
	other := reference.Context().RegistryStr()
	switch {
	case registry == "":
		return nil, nil
	case other == registry:
		return reference, nil
	case strings.Contains(other, ":"):
		return nil, nil // no repository's name can hold a port, so there is no mirror of it
	}
	return name.ParseReference(inRegistry(registry, reference), name.Insecure)
}

// inRegistry is where the environment's registry has an image of another one.
func inRegistry(registry string, reference name.Reference) string {
	host := reference.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	separator := ":"
	if _, byDigest := reference.(name.Digest); byDigest {
		separator = "@"
	}
	return registry + "/" + mirror + "/" + host + "/" + reference.Context().RepositoryStr() + separator + reference.Identifier()
}

func (f *Finder) remote(ctx context.Context, reference name.Reference, platform v1.Platform) (v1.Image, error) {
	image, err := remote.Image(reference, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if refusal := (*transport.Error)(nil); errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s is not there: %w", reference, err)
	}
	return image, err
}

// fromEngine takes an image out of the engine: nil when it is not there, or there is no engine.
func (f *Finder) fromEngine(ctx context.Context, base string) (v1.Image, error) {
	if f.Engine == nil {
		return nil, nil
	}
	engine, err := f.Engine(ctx)
	if err != nil {
		return nil, ctx.Err()
	}
	defer engine.Close()
	id, err := engine.ImageID(ctx, base)
	if errors.Is(err, docker.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if image, known := f.known["engine "+id]; known {
		return image, nil
	}
	if f.scratch == "" {
		if f.scratch, err = os.MkdirTemp("", "slipway-base-"); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(f.scratch, strings.ReplaceAll(id, ":", "-")+".tar")
	if err := engine.SaveTo(ctx, file, base); err != nil {
		return nil, err
	}
	image, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return nil, err
	}
	f.known["engine "+id] = image
	return image, nil
}

// FromLayout returns the image for a platform in a folder with an OCI layout. An image that says no platform fits all.
func FromLayout(folder string, platform v1.Platform) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the OCI layout in %s: %w", folder, err)
	}
	image, err := fromIndex(index, platform)
	if err != nil {
		return nil, fmt.Errorf("reading the OCI layout in %s: %w", folder, err)
	}
	return image, nil
}

// fromIndex looks in an index and in those below it, which is how tools write images for several platforms.
func fromIndex(index v1.ImageIndex, platform v1.Platform) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found v1.Image
	fitting := match.Platforms(platform)
	for _, entry := range manifest.Manifests {
		if entry.MediaType.IsIndex() {
			below, err := index.ImageIndex(entry.Digest)
			if err != nil {
				return nil, err
			}
			if image, err := fromIndex(below, platform); err == nil {
				return image, nil
			}
		}
		if !entry.MediaType.IsImage() || entry.Platform != nil && !fitting(entry) {
			continue
		}
		image, err := index.Image(entry.Digest)
		if err != nil {
			return nil, err
		}
		if Fits(image, platform) != nil {
			continue
		}
		if found != nil {
			return nil, errors.New("it holds several images for this platform")
		}
		found = image
	}
	if found == nil {
		return nil, fmt.Errorf("it holds no image for %s", platform)
	}
	return found, nil
}

// Fits says by its error whether an image is for another platform. An image that names none fits all.
func Fits(image v1.Image, platform v1.Platform) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if config.OS != "" && config.OS != platform.OS || config.Architecture != "" && config.Architecture != platform.Architecture {
		return fmt.Errorf("it is for %s/%s, and the node is %s", config.OS, config.Architecture, platform)
	}
	return nil
}
