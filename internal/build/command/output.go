package command

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/hint"
)

// defaultPath is where a folder's files are in the container.
const defaultPath = "/app"

// take makes an image of what the command left, whatever that is, and tells of its base.
func (b *Builder) take(ctx context.Context, r build.Request, output string, told *build.Result) (v1.Image, error) {
	info, err := os.Stat(output)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(fmt.Errorf("the command left nothing in %s", output), "it has to write to $SLIPWAY_OUTPUT, or slipway.yaml has to name what it leaves as build.command.output")
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the command's output: %w", err)
	}
	var image v1.Image
	switch {
	case !info.IsDir():
		image, err = b.fromArchive(output, r.Platform)
	case isLayout(output):
		image, err = baseimage.FromLayout(output, r.Platform)
	default:
		return b.pack(ctx, r, output, told)
	}
	if err != nil {
		return nil, fmt.Errorf("taking the command's output: %w", err)
	}
	if b.config.Image != nil {
		return nil, hint.With(errors.New("the command left an image, and slipway.yaml says what to make of a folder"), "take build.command.image out of slipway.yaml")
	}
	return image, nil
}

func isLayout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "oci-layout"))
	return err == nil
}

func (b *Builder) pack(ctx context.Context, r build.Request, output string, told *build.Result) (v1.Image, error) {
	to := defaultPath
	if b.config.Image != nil && b.config.Image.Path != "" {
		to = b.config.Image.Path
	}
	r.Say("packing " + filepath.Base(output))
	files, err := layer.FromFolder(output, nil, to)
	if err != nil {
		return nil, fmt.Errorf("packing the command's output: %w", err)
	}
	packed, err := layer.Plain(layer.WithFolders(files))
	if err != nil {
		return nil, fmt.Errorf("packing the command's output: %w", err)
	}
	return b.fromFolder(ctx, r, packed, told)
}

// fromArchive reads a tarball, compressed with gzip or not: what `docker save` writes, or an OCI layout in one file.
func (b *Builder) fromArchive(file string, platform v1.Platform) (v1.Image, error) {
	plain, err := b.unzip(file)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(plain)
	if err != nil {
		return nil, err
	}
	if kind == "oci-layout" {
		folder := filepath.Join(b.scratch, "layout")
		if err := extract(plain, folder); err != nil {
			return nil, err
		}
		return baseimage.FromLayout(folder, platform)
	}
	image, err := tarball.ImageFromPath(plain, nil)
	if err != nil {
		return nil, err
	}
	if err := baseimage.Fits(image, platform); err != nil {
		return nil, err
	}
	// What docker save writes has the time of its build.
	return baseimage.Put(image, platform, baseimage.Top{})
}

// unzip returns the name of a file that is not compressed: the same, or a new one.
func (b *Builder) unzip(file string) (_ string, err error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	buffered := bufio.NewReader(in)
	if magic, _ := buffered.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return file, nil
	}
	reader, err := gzip.NewReader(buffered)
	if err != nil {
		return "", err
	}
	plain := filepath.Join(b.scratch, "image.tar")
	return plain, write(plain, reader)
}

func write(file string, content io.Reader) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, content); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// kindOf finds the file that tells what an image's tarball is; newer engines write both, and then manifest.json counts.
func kindOf(file string) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	layout := false
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF) && layout:
			return "oci-layout", nil
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("%s is a tarball, but not of an image: it has neither manifest.json nor oci-layout", filepath.Base(file))
		case err != nil:
			return "", fmt.Errorf("%s is not a tarball: %w", filepath.Base(file), err)
		}
		switch filepath.ToSlash(filepath.Clean(header.Name)) {
		case "manifest.json":
			return "manifest.json", nil
		case "oci-layout":
			layout = true
		}
	}
}

// extract unpacks the regular files of a tarball into a folder, and none outside of it.
func extract(file, folder string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Clean(filepath.FromSlash(header.Name))
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		out, err := root.Create(name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, reader); err != nil {
			out.Close()
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
}
