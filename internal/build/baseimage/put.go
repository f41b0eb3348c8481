package baseimage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/build/layer"
)

// image is slipway's own base as an image without a platform.
func (b Own) image() (v1.Image, error) {
	files, err := b.layer()
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, files)
	if err != nil {
		return nil, err
	}
	return mutate.Config(image, v1.Config{
		User: fmt.Sprint(nonroot), WorkingDir: "/",
		Env: []string{"PATH=/app:/usr/bin:/bin", "HOME=" + home, "SSL_CERT_FILE=" + certificates},
	})
}

// Top is what goes onto a base.
type Top struct {
	Layers     []v1.Layer
	Entrypoint []string          // nil keeps the base's, with its arguments
	Env        map[string]string // added to the base's, or instead of it
	User       string            // "" keeps the base's
	WorkingDir string            // "" keeps the base's
	Ports      []int             // that are told of, beside the base's
}

// Put makes the image of a base and what goes onto it. It is an OCI image, of the time 0, without a history: its digest
// speaks of the content alone.
func Put(base v1.Image, platform v1.Platform, top Top) (v1.Image, error) {
	image, err := put(base, platform, top)
	if err != nil {
		return nil, fmt.Errorf("putting the image together: %w", err)
	}
	return image, nil
}

func put(base v1.Image, platform v1.Platform, top Top) (v1.Image, error) {
	below, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := base.Layers()
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, one := range append(slices.Clone(layers), top.Layers...) {
		kind, err := one.MediaType()
		if err != nil {
			return nil, err
		}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: one, MediaType: inOCI(kind)}); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = v1.Time{Time: layer.Epoch()}
	config.History = nil
	config.Config = top.config(below.Config)
	return mutate.ConfigFile(image, config)
}

// inOCI is OCI's name of a layer's media type.
func inOCI(kind types.MediaType) types.MediaType {
	switch kind {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	}
	return kind
}

func (t Top) config(base v1.Config) v1.Config {
	config := *base.DeepCopy()
	if t.Entrypoint != nil {
		config.Entrypoint, config.Cmd = t.Entrypoint, nil
	}
	if t.User != "" {
		config.User = t.User
	}
	if t.WorkingDir != "" {
		config.WorkingDir = t.WorkingDir
	}
	for _, key := range slices.Sorted(maps.Keys(t.Env)) {
		config.Env = slices.DeleteFunc(config.Env, func(entry string) bool { return strings.HasPrefix(entry, key+"=") })
		config.Env = append(config.Env, key+"="+t.Env[key])
	}
	for _, port := range t.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[fmt.Sprintf("%d/tcp", port)] = struct{}{}
	}
	return config
}
