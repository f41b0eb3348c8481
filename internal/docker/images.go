package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// ImageID returns the identifier (the digest of the configuration) of the image that ref names, or ErrNotFound.
func (e *Engine) ImageID(ctx context.Context, ref string) (string, error) {
	inspected, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return "", notFound(fmt.Errorf("looking for image %s: %w", ref, err))
	}
	return inspected.ID, nil
}

// Pull fetches ref from its registry; say is told how it goes.
func (e *Engine) Pull(ctx context.Context, ref string, say func(string)) error {
	stream, err := e.api.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		return fmt.Errorf("pulling %s: %w", ref, err)
	}
	defer stream.Close()
	if err := readMessages(stream, say); err != nil {
		return fmt.Errorf("pulling %s: %w", ref, err)
	}
	return nil
}

// Load puts the images of a `docker save` archive into the engine.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	response, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading an image into the engine: %w", err)
	}
	defer response.Body.Close()
	if err := readMessages(response.Body, func(string) {}); err != nil {
		return fmt.Errorf("loading an image into the engine: %w", err)
	}
	return nil
}

// Save returns a `docker save` archive of the named images. The caller closes it.
func (e *Engine) Save(ctx context.Context, refs ...string) (io.ReadCloser, error) {
	stream, err := e.api.ImageSave(ctx, refs)
	if err != nil {
		return nil, notFound(fmt.Errorf("reading images out of the engine: %w", err))
	}
	return stream, nil
}

// RemoveImages removes the images that carry the label key=value and that no container uses; it returns the
// names of those removed.
func (e *Engine) RemoveImages(ctx context.Context, key, value string) ([]string, error) {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", key+"="+value))})
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	var removed []string
	var errs []error
	for _, summary := range found {
		names := summary.RepoTags
		if len(names) == 0 {
			names = []string{summary.ID}
		}
		for _, name := range names {
			if _, err := e.api.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true}); err != nil {
				errs = append(errs, fmt.Errorf("removing image %s: %w", name, err))
				continue
			}
			removed = append(removed, name)
		}
	}
	return removed, errors.Join(errs...)
}

// readMessages reads the engine's stream of JSON messages to its end and returns the error that one of them carries.
func readMessages(stream io.Reader, say func(string)) error {
	decoder := json.NewDecoder(bufio.NewReader(stream))
	for {
		var message struct {
			Status   string `json:"status"`
			Progress string `json:"progress"`
			Error    string `json:"error"`
		}
		if err := decoder.Decode(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
		if message.Status != "" {
			say(message.Status)
		}
	}
}

// SaveTo writes a `docker save` archive of the named images into a file, which is not there when it fails.
func (e *Engine) SaveTo(ctx context.Context, file string, refs ...string) (err error) {
	stream, err := e.Save(ctx, refs...)
	if err != nil {
		return err
	}
	defer stream.Close()
	target, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keeping images of the engine: %w", err)
	}
	defer func() {
		if closeErr := target.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(file)
		}
	}()
	if _, err := io.Copy(target, stream); err != nil {
		return fmt.Errorf("keeping images of the engine: %w", err)
	}
	return nil
}
