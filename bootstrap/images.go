package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/ui"
)

// RequiredImage is an image that `up` needs and does not bring along.
type RequiredImage struct {
	Name     string `json:"name"`
	For      string `json:"for"`      // the part that it is of
	InEngine bool   `json:"inEngine"` // else it must be in a bundle, or is pulled
}

// RequiredImages are the images that `up` needs for any profile, besides slipwayd's own, which is in this program.
func RequiredImages(ctx context.Context) ([]RequiredImage, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	images := []RequiredImage{{Name: cluster.NodeImage, For: "the kind cluster's node"}}
	for _, name := range certManagerImages() {
		images = append(images, RequiredImage{Name: name, For: "cert-manager"})
	}
	for i := range images {
		_, err := engine.ImageID(ctx, images[i].Name)
		if err != nil && !errors.Is(err, docker.ErrNotFound) {
			return nil, err
		}
		images[i].InEngine = err == nil
	}
	return images, nil
}

// SaveOptions say what bundle is written.
type SaveOptions struct {
	Dir      string
	More     []string // names of further images, such as the bases of apps
	Progress ui.Progress
	Log      *slog.Logger
}

// SaveImages writes a bundle with all that `up` needs, out of the engine, or pulled where that lacks it. What is in the
// folder already is used again: broken off, it goes on from there.
func SaveImages(ctx context.Context, o SaveOptions) ([]bundle.Image, error) {
	required, err := RequiredImages(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, image := range required {
		names = append(names, image.Name)
	}
	for _, name := range o.More {
		if !slices.ContainsFunc(names, func(other string) bool { return bundle.SameName(name, other) }) {
			names = append(names, name)
		}
	}
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	writer, err := bundle.Create(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		task := o.Progress.Start(name, name)
		detail, err := saveOne(ctx, engine, writer, name, task)
		if err != nil {
			task.Fail(shown(ctx, err))
			return nil, err
		}
		o.Log.Debug("saved", "image", name, "how", detail)
		task.Done(detail)
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	written, err := bundle.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	return written.List()
}

// saveOne writes one image into the bundle, and says where it came from.
func saveOne(ctx context.Context, engine *docker.Engine, writer *bundle.Writer, name string, task ui.Task) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	id, err := engine.ImageID(ctx, name)
	if errors.Is(err, docker.ErrNotFound) {
		return savePulled(ctx, writer, name, task)
	}
	if err != nil {
		return "", err
	}
	if kept, err := writer.Keep(name, id); err != nil || kept {
		return "it was there already", err
	}
	task.Update("reading it out of the engine")
	dir, err := filepath.Abs(writer.Dir()) // where there must be room for it anyway
	if err != nil {
		return "", fmt.Errorf("finding the bundle's folder: %w", err)
	}
	image, release, err := saved(ctx, engine, dir, name)
	if err != nil {
		return "", err
	}
	defer release()
	task.Update("writing its layers")
	return "out of the engine", writer.Add(name, id, image)
}

func savePulled(ctx context.Context, writer *bundle.Writer, name string, task ui.Task) (string, error) {
	task.Update("asking its registry")
	image, err := upstream(ctx, name)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	if kept, err := writer.Keep(name, digest.String()); err != nil || kept {
		return "it was there already", err
	}
	task.Update("pulling it")
	return "pulled", writer.Add(name, digest.String(), image)
}
