package dockerfile

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
)

// ofBases are the layers that come from the images on which the Dockerfile stands, by their digests: these are the same
// everywhere already. What cannot be asked for is left out; then its layers are made the same like all others.
func (b *Builder) ofBases(ctx context.Context, r build.Request, bases []string) map[string]bool {
	known := map[string]bool{}
	for _, base := range bases {
		if layers, err := b.engine.ImageLayers(ctx, base); err == nil {
			for _, sum := range layers {
				known[sum] = true
			}
			continue
		}
		image, err := b.bases.Find(ctx, baseimage.Query{Base: base, Dir: r.Dir, Registry: r.Registry, Platform: r.Platform, Say: r.Say})
		if err != nil {
			continue
		}
		config, err := image.ConfigFile()
		if err != nil {
			continue
		}
		for _, sum := range config.RootFS.DiffIDs {
			known[sum.String()] = true
		}
	}
	return known
}

// put makes the image of the layers and of what the engine's image says about running it.
func put(saved v1.Image, layers []v1.Layer, platform v1.Platform) (v1.Image, error) {
	config, err := saved.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image that the engine built: %w", err)
	}
	said := *config.Config.DeepCopy()
	delete(said.Labels, Label)
	if len(said.Labels) == 0 {
		said.Labels = nil
	}
	said.Image, said.Hostname, said.Domainname = "", "", ""
	below, err := mutate.Config(empty.Image, said)
	if err != nil {
		return nil, fmt.Errorf("reading the image that the engine built: %w", err)
	}
	return baseimage.Put(below, platform, baseimage.Top{Layers: layers})
}
