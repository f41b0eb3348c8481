// Package bundle reads and writes folders of images, for machines without a network: OCI layouts in which each image has
// its name. What is in one is decided by its caller; what is done with the images, too.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"slipway.dev/slipway/internal/hint"
)

// nameAnnotations are where an OCI layout says what an image in it is called: containerd's, which holds the whole name,
// then the OCI one.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// Files of a bundle. While one is being written, its list is in partialFile: a bundle that is not complete has no
// index.json, or the one from before.
const (
	indexFile   = "index.json"
	partialFile = "index.partial.json"
	layoutFile  = "oci-layout"
)

// Image is an image in a bundle.
type Image struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // of the manifest, or of the index
	Size   int64  `json:"size"`   // of all that belongs to it, in bytes; 0 for an index
}

// Bundle is a folder with images. It is read anew on each call.
type Bundle struct{ dir string }

// Open returns the bundle in a folder; one that is not complete is an error.
func Open(dir string) (*Bundle, error) {
	if _, err := os.Stat(filepath.Join(dir, indexFile)); err != nil {
		if _, partial := os.Stat(filepath.Join(dir, partialFile)); partial == nil {
			return nil, hint.Withf(fmt.Errorf("the bundle %s is not complete", dir), "`slipway images save %s` goes on with it", dir)
		}
		return nil, hint.With(fmt.Errorf("reading the images in %s: %w", dir, err), "a bundle is an OCI layout, a folder with index.json, oci-layout and blobs: `slipway images save` writes one")
	}
	return &Bundle{dir: dir}, nil
}

// Dir is the folder.
func (b *Bundle) Dir() string { return b.dir }

// List returns the images that have a name, in the order in which they were added.
func (b *Bundle) List() ([]Image, error) {
	manifest, err := readIndex(filepath.Join(b.dir, indexFile))
	if err != nil {
		return nil, fmt.Errorf("reading the bundle %s: %w", b.dir, err)
	}
	var images []Image
	for _, entry := range manifest.Manifests {
		name := nameIn(entry)
		if name == "" {
			continue
		}
		image := Image{Name: name, Digest: entry.Digest.String()}
		if entry.MediaType.IsImage() {
			if image.Size, err = b.size(entry); err != nil {
				return nil, fmt.Errorf("reading %s in the bundle %s: %w", name, b.dir, err)
			}
		}
		images = append(images, image)
	}
	return images, nil
}

func (b *Bundle) size(entry v1.Descriptor) (int64, error) {
	content, err := layout.Path(b.dir).Bytes(entry.Digest)
	if err != nil {
		return 0, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return 0, err
	}
	size := entry.Size + manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}

// Find returns the image of that name, for linux on an architecture where the bundle has several; nil when it is not
// there.
func (b *Bundle) Find(name, architecture string) (v1.Image, error) {
	manifest, err := readIndex(filepath.Join(b.dir, indexFile))
	if err != nil {
		return nil, fmt.Errorf("reading the bundle %s: %w", b.dir, err)
	}
	index, err := layout.ImageIndexFromPath(b.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle %s: %w", b.dir, err)
	}
	for _, entry := range manifest.Manifests {
		if !named(entry, name) {
			continue
		}
		if entry.MediaType.IsImage() {
			return index.Image(entry.Digest)
		}
		inner, err := index.ImageIndex(entry.Digest)
		if err != nil {
			return nil, fmt.Errorf("reading %s in %s: %w", name, b.dir, err)
		}
		return ofPlatform(inner, name, architecture)
	}
	return nil, nil
}

func ofPlatform(index v1.ImageIndex, name, architecture string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	for _, entry := range manifest.Manifests {
		if entry.Platform != nil && entry.Platform.OS == "linux" && entry.Platform.Architecture == architecture {
			return index.Image(entry.Digest)
		}
	}
	return nil, fmt.Errorf("%s has no image for linux/%s", name, architecture)
}

func nameIn(entry v1.Descriptor) string {
	for _, annotation := range nameAnnotations {
		if name := entry.Annotations[annotation]; name != "" {
			return name
		}
	}
	return ""
}

// named says whether an entry has a name under any of the annotations.
func named(entry v1.Descriptor, name string) bool {
	for _, annotation := range nameAnnotations {
		if SameName(entry.Annotations[annotation], name) {
			return true
		}
	}
	return false
}

// SameName compares two names as the engine reads them: docker.io/library/x and x are one.
func SameName(a, b string) bool {
	short := func(name string) string {
		return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
	}
	return short(a) == short(b)
}

func readIndex(path string) (*v1.IndexManifest, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	manifest := &v1.IndexManifest{}
	if err := json.Unmarshal(content, manifest); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return manifest, nil
}

// readOldIndex returns the list of an earlier writer that was broken off, or of a complete bundle, or an empty one.
func readOldIndex(dir string) (*v1.IndexManifest, error) {
	for _, name := range []string{partialFile, indexFile} {
		manifest, err := readIndex(filepath.Join(dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return manifest, err
		}
	}
	return &v1.IndexManifest{}, nil
}
