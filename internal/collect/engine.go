package collect

import (
	"context"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/internal/docker"
)

// engineLabel marks the images that slipway put into the engine: slipwayd's own, and those that it built there.
const engineLabel = "slipway.dev/image"

// collectEngine removes slipway's images that no container was made from, the oldest first, until the rest fits.
func collectEngine(ctx context.Context, o Options) (Place, error) {
	place := Place{Removed: []string{}}
	images, err := o.Engine.ImagesWith(ctx, engineLabel)
	if err != nil {
		return place, err
	}
	for _, image := range images {
		place.Used += image.Size
	}
	for _, image := range engineCandidates(images, time.Now().Add(-o.Grace)) {
		if place.Used <= o.Budget {
			break
		}
		if !o.DryRun {
			if err := o.Engine.RemoveImage(ctx, image); err != nil {
				return place, err
			}
		}
		place.Removed = append(place.Removed, nameOf(image))
		place.Freed += image.Size
		place.Used -= image.Size
	}
	return place, nil
}

// engineCandidates are the images that may go, the oldest first.
func engineCandidates(images []docker.Image, horizon time.Time) []docker.Image {
	images = slices.DeleteFunc(slices.Clone(images), func(image docker.Image) bool {
		return image.InUse || image.Tagged.After(horizon)
	})
	slices.SortStableFunc(images, func(a, b docker.Image) int { return a.Tagged.Compare(b.Tagged) })
	return images
}

func nameOf(image docker.Image) string {
	if len(image.Names) == 0 {
		return image.ID
	}
	return strings.Join(image.Names, ", ")
}
