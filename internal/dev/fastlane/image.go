package fastlane

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/supervise/wire"
)

// found is a regular file of an image.
type found struct {
	file
	layer v1.Layer
}

// find looks for files in an image, from its top layer down, and reads no more layers than it must. What is missing in
// the result is not a regular file of the image. Links to folders are not followed.
func find(image v1.Image, names []string) (map[string]found, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	open := map[string]bool{}
	for _, name := range names {
		open[name] = true
	}
	result := map[string]found{}
	for i := len(layers) - 1; i >= 0 && len(open) > 0; i-- {
		hidden := map[string]bool{} // from the layers below
		err := walk(layers[i], func(header *tar.Header, content io.Reader) error {
			name := path.Join("/", header.Name)
			folder, base := path.Split(name)
			if base == ".wh..wh..opq" {
				hidden[path.Clean(folder)] = true
				return nil
			}
			if gone, is := strings.CutPrefix(base, ".wh."); is {
				hidden[path.Join(folder, gone)] = true
				return nil
			}
			if header.Typeflag != tar.TypeDir {
				hidden[name] = true
			}
			if !open[name] || header.Typeflag != tar.TypeReg {
				return nil
			}
			sum := sha256.New()
			size, err := io.Copy(sum, content)
			if err != nil {
				return err
			}
			one := found{layer: layers[i], file: file{path: name, mode: uint32(header.Mode & 0o777)}} //nolint:gosec // masked
			one.Blob = wire.Blob{Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}
			result[name] = one
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the image: %w", err)
		}
		for name := range open {
			if _, there := result[name]; there || isHidden(name, hidden) {
				delete(open, name)
			}
		}
	}
	return result, nil
}

// isHidden says whether a path, or a folder that it is in, was removed or replaced.
func isHidden(name string, hidden map[string]bool) bool {
	for ; name != "/"; name = path.Dir(name) {
		if hidden[name] {
			return true
		}
	}
	return hidden["/"]
}

// walk reads a layer.
func walk(layer v1.Layer, see func(*tar.Header, io.Reader) error) error {
	from, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer from.Close()
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := see(header, archive); err != nil {
			return err
		}
	}
}

// read returns the content of a file that was found.
func (f found) read() ([]byte, error) {
	var content []byte
	err := walk(f.layer, func(header *tar.Header, from io.Reader) (err error) {
		if path.Join("/", header.Name) == f.path && header.Typeflag == tar.TypeReg {
			content, err = io.ReadAll(from)
		}
		return err
	})
	return content, err
}

// rest is what an image holds beside its program.
type rest struct {
	config string
	layers []v1.Hash
	// others is what is in the layer of the program beside it, by the layer's place.
	others map[int]string
}

// restOf looks at an image. Layers below that of the program are known by their digests alone.
func restOf(image v1.Image, program string) (rest, error) {
	var r rest
	file, err := image.ConfigFile()
	if err != nil {
		return r, fmt.Errorf("reading the image: %w", err)
	}
	config, err := json.Marshal([]any{file.Config, file.OS, file.Architecture, file.Variant})
	if err != nil {
		return r, err
	}
	r.config, r.others = string(config), map[int]string{}
	layers, err := image.Layers()
	if err != nil {
		return r, fmt.Errorf("reading the image: %w", err)
	}
	seen := false
	r.layers = make([]v1.Hash, len(layers))
	for i := len(layers) - 1; i >= 0; i-- {
		if r.layers[i], err = layers[i].Digest(); err != nil {
			return r, fmt.Errorf("reading the image: %w", err)
		}
		if seen {
			continue
		}
		if r.others[i], seen, err = listing(layers[i], program); err != nil {
			return r, fmt.Errorf("reading the image: %w", err)
		}
	}
	return r, nil
}

// listing is a hash of everything in a layer but the program, and whether that is in it.
func listing(layer v1.Layer, program string) (sum string, seen bool, err error) {
	all := sha256.New()
	err = walk(layer, func(header *tar.Header, content io.Reader) error {
		fmt.Fprintf(all, "%q %c %o %d %d %q\n", header.Name, header.Typeflag, header.Mode, header.Uid, header.Gid, header.Linkname)
		if path.Join("/", header.Name) == program && header.Typeflag == tar.TypeReg {
			seen = true
			return nil
		}
		one := sha256.New()
		if _, err := io.Copy(one, content); err != nil {
			return err
		}
		all.Write(one.Sum(nil))
		return nil
	})
	return hex.EncodeToString(all.Sum(nil)), seen, err
}

// differs says what beside the program is different; "" when nothing is.
func (r rest) differs(other rest) string {
	if r.config != other.config {
		return "the image's settings changed"
	}
	if len(r.layers) != len(other.layers) {
		return "the image has other layers"
	}
	for i := range r.layers {
		if r.layers[i] == other.layers[i] {
			continue
		}
		if mine, known := r.others[i]; !known || mine != other.others[i] {
			return "more than the program changed in the image"
		}
	}
	return ""
}
