package dockerfile

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
)

// named says what the names of a Dockerfile's images mean now. BuildKit takes an image of the engine where there is one, and
// else asks the registry. What its name says whole, and what cannot be asked for, is left out: nobody could tell of a newer
// one.
func (b *Builder) named(ctx context.Context, r build.Request, bases []string) []build.Base {
	var found []build.Base
	for _, base := range slices.Compact(slices.Sorted(slices.Values(bases))) {
		if _, err := name.NewTag(base); err != nil || strings.HasPrefix(base, frontend) {
			continue
		}
		if id, err := b.engine.ImageID(ctx, base); err == nil {
			if engine, err := b.engine.Info(ctx); err == nil {
				found = append(found, build.Base{Name: base, Digest: id, Engine: engine.ID})
			}
			continue
		}
		image, err := b.bases.Find(ctx, baseimage.Query{Base: base, Dir: r.Dir, Registry: r.Registry, Platform: r.Platform, Say: r.Say})
		if err != nil {
			continue
		}
		if digest, err := image.Digest(); err == nil {
			found = append(found, build.Base{Name: base, Digest: digest.String()})
		}
	}
	return found
}
