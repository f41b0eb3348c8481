package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// ReadFile returns the content of a file in a container, running or not, or ErrNotFound.
func (e *Engine) ReadFile(ctx context.Context, name, file string) ([]byte, error) {
	stream, _, err := e.api.CopyFromContainer(ctx, name, file)
	if err != nil {
		return nil, notFound(fmt.Errorf("reading %s in container %s: %w", file, name, err))
	}
	defer stream.Close()
	archive := tar.NewReader(stream)
	if _, err := archive.Next(); err != nil {
		return nil, fmt.Errorf("reading %s in container %s: %w", file, name, err)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		return nil, fmt.Errorf("reading %s in container %s: %w", file, name, err)
	}
	return content, nil
}

// WriteFiles writes files (absolute path -> content, mode 0644, owned by root) into a container, running or not,
// and makes the folders that they need.
func (e *Engine) WriteFiles(ctx context.Context, name string, files map[string][]byte) error {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	made := map[string]bool{".": true, "/": true}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		inside := strings.TrimPrefix(path.Clean(file), "/")
		if err := addFolders(archive, path.Dir(inside), made); err != nil {
			return err
		}
		header := &tar.Header{Name: inside, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[file]))}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("packing %s: %w", file, err)
		}
		if _, err := archive.Write(files[file]); err != nil {
			return fmt.Errorf("packing %s: %w", file, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("packing files for container %s: %w", name, err)
	}
	if err := e.api.CopyToContainer(ctx, name, "/", &buffer, container.CopyToContainerOptions{}); err != nil {
		return notFound(fmt.Errorf("writing files into container %s: %w", name, err))
	}
	return nil
}

func addFolders(archive *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := addFolders(archive, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	if err := archive.WriteHeader(&tar.Header{Name: folder + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return fmt.Errorf("packing %s: %w", folder, err)
	}
	return nil
}
