package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// Image is an image in the engine.
type Image struct {
	ID     string
	Names  []string  // its tags; none when another image has taken them
	Size   int64     // bytes, layers that it shares with others included
	Tagged time.Time // when it last got a name, or was loaded
	InUse  bool      // whether a container, running or not, was made from it
}

// ImagesWith returns the images that carry a label, whatever its value.
func (e *Engine) ImagesWith(ctx context.Context, label string) ([]Image, error) {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	used := map[string]bool{}
	for _, one := range containers {
		used[one.ImageID] = true
	}
	var images []Image
	for _, summary := range found {
		inspected, err := e.api.ImageInspect(ctx, summary.ID)
		if err := notFound(err); errors.Is(err, ErrNotFound) {
			continue // it went while we looked
		} else if err != nil {
			return nil, fmt.Errorf("looking at image %s: %w", summary.ID, err)
		}
		images = append(images, Image{
			ID: summary.ID, Names: summary.RepoTags, Size: summary.Size, Tagged: inspected.Metadata.LastTagTime, InUse: used[summary.ID],
		})
	}
	return images, nil
}

// RemoveImage removes an image with all its names, unless a container was made from it. One that is not there is no
// error.
func (e *Engine) RemoveImage(ctx context.Context, one Image) error {
	refs := one.Names // by its names: an image that got another one meanwhile stays
	if len(refs) == 0 {
		refs = []string{one.ID}
	}
	for _, ref := range refs {
		_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		if err := notFound(err); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("removing image %s: %w", ref, err)
		}
	}
	return nil
}
