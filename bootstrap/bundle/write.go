package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Writer writes a bundle. What a writer that was broken off, or an earlier one, left in the folder is used again: layers
// are there under their digests, and those that several images share are there once. The bundle is what it was before
// until Close.
type Writer struct {
	dir     string
	old     *v1.IndexManifest
	entries []v1.Descriptor
}

// Create begins a bundle in a folder, which is made if need be.
func Create(dir string) (*Writer, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("making the bundle's folder: %w", err)
	}
	old, err := readOldIndex(dir)
	if err != nil {
		return nil, fmt.Errorf("reading what is in %s: %w", dir, err)
	}
	if err := writeFile(filepath.Join(dir, layoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`+"\n")); err != nil {
		return nil, err
	}
	return &Writer{dir: dir, old: old}, nil
}

// Dir is the folder; temporary files that are large belong there.
func (w *Writer) Dir() string { return w.dir }

// sourceAnnotation is on each entry of the list and holds what Add was told of the image's source.
const sourceAnnotation = "slipway.dev/source"

// Keep takes over the image of that name which is in the folder already, if it was added with the same source and is
// whole.
func (w *Writer) Keep(name, source string) (bool, error) {
	for _, entry := range w.old.Manifests {
		if !named(entry, name) || entry.Annotations[sourceAnnotation] != source || !w.intact(entry.Digest) {
			continue
		}
		image, err := w.image(entry)
		if err != nil || !w.whole(image) {
			continue // it is written again
		}
		return true, w.add(name, source, entry)
	}
	return false, nil
}

func (w *Writer) image(entry v1.Descriptor) (v1.Image, error) {
	path := layout.Path(w.dir)
	content, err := path.Bytes(entry.Digest)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&written{path: path, raw: content, mediaType: entry.MediaType})
}

// whole says whether all layers of an image are there in their full length. A layer gets its name when all of it is
// there and has that digest.
func (w *Writer) whole(image v1.Image) bool {
	manifest, err := image.Manifest()
	if err != nil {
		return false
	}
	if !w.intact(manifest.Config.Digest) {
		return false
	}
	for _, layer := range manifest.Layers {
		info, err := os.Stat(filepath.Join(w.dir, "blobs", layer.Digest.Algorithm, layer.Digest.Hex))
		if err != nil || info.Size() != layer.Size {
			return false
		}
	}
	return true
}

// Add writes an image under a name. source says what it was made of, such as the engine's identifier of the image: an image
// in a bundle may have another digest than where it came from.
func (w *Writer) Add(name, source string, image v1.Image) error {
	if err := w.dropBroken(image); err != nil {
		return fmt.Errorf("writing %s into the bundle: %w", name, err)
	}
	if err := layout.Path(w.dir).WriteImage(image); err != nil {
		return fmt.Errorf("writing %s into the bundle: %w", name, err)
	}
	entry, err := partial.Descriptor(image)
	if err != nil {
		return fmt.Errorf("writing %s into the bundle: %w", name, err)
	}
	return w.add(name, source, *entry)
}

// dropBroken removes the image's manifest and configuration if they are there and are not what their names say: the
// library writes them in place, and leaves alone what is there.
func (w *Writer) dropBroken(image v1.Image) error {
	manifest, err := image.Digest()
	if err != nil {
		return err
	}
	config, err := image.ConfigName()
	if err != nil {
		return err
	}
	for _, digest := range []v1.Hash{manifest, config} {
		if w.intact(digest) {
			continue
		}
		if err := layout.Path(w.dir).RemoveBlob(digest); err != nil {
			return err
		}
	}
	return nil
}

// intact says whether a small blob is there and has its digest.
func (w *Writer) intact(digest v1.Hash) bool {
	content, err := layout.Path(w.dir).Bytes(digest)
	if err != nil {
		return false
	}
	found, _, err := v1.SHA256(bytes.NewReader(content))
	return err == nil && found == digest
}

// add notes the image, in a list that a later writer finds should this one be broken off.
func (w *Writer) add(name, source string, entry v1.Descriptor) error {
	entry.Annotations = map[string]string{sourceAnnotation: source}
	for _, annotation := range nameAnnotations {
		entry.Annotations[annotation] = name
	}
	w.entries = append(w.entries, entry)
	return w.writeIndex(partialFile)
}

func (w *Writer) writeIndex(file string) error {
	entries := slices.Clone(w.entries)
	if file == partialFile { // and what the next may still use
		for _, entry := range w.old.Manifests {
			if !slices.ContainsFunc(entries, func(other v1.Descriptor) bool { return named(other, nameIn(entry)) }) {
				entries = append(entries, entry)
			}
		}
	}
	content, err := json.MarshalIndent(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the bundle's list: %w", err)
	}
	return writeFile(filepath.Join(w.dir, file), append(content, '\n'))
}

// Close makes the bundle hold exactly what was kept and added, and removes the rest.
func (w *Writer) Close() error {
	if err := w.writeIndex(indexFile); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(w.dir, partialFile)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("finishing the bundle: %w", err)
	}
	return w.prune()
}

// prune removes blobs that no image of the bundle names.
func (w *Writer) prune() error {
	named := map[string]bool{}
	for _, entry := range w.entries {
		named[entry.Digest.Hex] = true
		image, err := w.image(entry)
		if err != nil {
			return fmt.Errorf("reading the bundle again: %w", err)
		}
		manifest, err := image.Manifest()
		if err != nil {
			return fmt.Errorf("reading the bundle again: %w", err)
		}
		named[manifest.Config.Digest.Hex] = true
		for _, layer := range manifest.Layers {
			named[layer.Digest.Hex] = true
		}
	}
	blobs := filepath.Join(w.dir, "blobs", "sha256")
	entries, err := os.ReadDir(blobs)
	if err != nil {
		return fmt.Errorf("looking for what the bundle needs no longer: %w", err)
	}
	for _, entry := range entries {
		if named[entry.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(blobs, entry.Name())); err != nil {
			return fmt.Errorf("removing what the bundle needs no longer: %w", err)
		}
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = file.Write(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(file.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// written is an image in the folder that no list names yet.
type written struct {
	path      layout.Path
	raw       []byte
	mediaType types.MediaType
}

var _ partial.CompressedImageCore = (*written)(nil)

func (w *written) MediaType() (types.MediaType, error) { return w.mediaType, nil }
func (w *written) RawManifest() ([]byte, error)        { return w.raw, nil }
func (w *written) RawConfigFile() ([]byte, error) {
	manifest, err := partial.Manifest(w)
	if err != nil {
		return nil, err
	}
	return w.path.Bytes(manifest.Config.Digest)
}

// LayerByDigest is not needed: nobody reads these layers.
func (w *written) LayerByDigest(v1.Hash) (partial.CompressedLayer, error) {
	return nil, fmt.Errorf("the layers are in %s", w.path)
}
