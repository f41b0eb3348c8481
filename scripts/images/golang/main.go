// Command golang packs the Go toolchain of this machine as an image and pushes it to a registry: an image in which tests
// of Go sources run where none can be pulled. It holds the toolchain alone, no shell and no C compiler. What was packed is
// kept by its content, so a second run only pushes what the registry lacks.
package main

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const usage = `Usage: go run ./scripts/images/golang IMAGE

Packs this machine's Go toolchain as IMAGE (localhost:5000/images/golang), pushes it, and prints the image by digest.`

func main() {
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	image, err := run(ctx, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "golang:", err)
		os.Exit(1)
	}
	fmt.Println(image)
}

func run(ctx context.Context, image string) (string, error) {
	reference, err := name.ParseReference(image)
	if err != nil {
		return "", err
	}
	root, err := goroot(ctx)
	if err != nil {
		return "", err
	}
	files, err := list(root)
	if err != nil {
		return "", fmt.Errorf("listing %s: %w", root, err)
	}
	archive, err := packed(root, files)
	if err != nil {
		return "", fmt.Errorf("packing %s: %w", root, err)
	}
	made, err := imageOf(archive)
	if err != nil {
		return "", err
	}
	if err := remote.Write(reference, made, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("pushing %s: %w", reference, err)
	}
	digest, err := made.Digest()
	if err != nil {
		return "", err
	}
	return reference.Context().Digest(digest.String()).String(), nil
}

func goroot(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("the toolchain of this machine is for %s, and an image needs one for linux", runtime.GOOS)
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its root: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// file is what is packed, by its name below the root.
type file struct {
	name string
	info fs.FileInfo
	link string
}

// list finds what building and testing needs: not the toolchain's own tests, its documents and the sources of its programs.
func list(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(where string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, where)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			unneeded := slices.Contains([]string{"api", "doc", "misc", "test", "src/cmd", "pkg/obj", ".git"}, name) || entry.Name() == "testdata"
			if unneeded {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(where); err != nil {
				return err
			}
		} else if !info.Mode().IsRegular() {
			return nil
		}
		files = append(files, file{name, info, link})
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	return files, err
}

// packed is the archive of the files, which is kept under the hash of what is in it.
func packed(root string, files []file) (string, error) {
	hash := sha256.New()
	if err := write(hash, root, files); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "slipway", "images") // as recipe.sh has it
	archive := filepath.Join(folder, "golang-"+hex.EncodeToString(hash.Sum(nil))[:16]+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	temporary, err := os.CreateTemp(folder, ".golang-")
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary.Name())
	if err := errors.Join(write(temporary, root, files), temporary.Close()); err != nil {
		return "", err
	}
	older, err := filepath.Glob(filepath.Join(folder, "golang-*.tar"))
	if err != nil {
		return "", err
	}
	for _, one := range older {
		if err := os.Remove(one); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return archive, os.Rename(temporary.Name(), archive)
}

// inImage is the toolchain's root in the image.
const inImage = "usr/local/go"

// write writes the archive: the same bytes for the same files.
func write(to io.Writer, root string, files []file) error {
	buffered := bufio.NewWriterSize(to, 1<<20)
	archive := tar.NewWriter(buffered)
	made := map[string]bool{".": true}
	for _, one := range files {
		full := path.Join(inImage, one.name)
		if err := folders(archive, path.Dir(full), made); err != nil {
			return err
		}
		header := &tar.Header{Name: full, Typeflag: tar.TypeReg, Mode: 0o644, Size: one.info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if one.info.Mode()&0o111 != 0 {
			header.Mode = 0o755
		}
		if one.link != "" {
			header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, one.link, 0
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if one.link != "" {
			continue
		}
		if err := copyFile(archive, filepath.Join(root, filepath.FromSlash(one.name))); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), buffered.Flush())
}

func folders(archive *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := folders(archive, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	return archive.WriteHeader(&tar.Header{Name: folder + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
}

func copyFile(to io.Writer, from string) error {
	opened, err := os.Open(from)
	if err != nil {
		return err
	}
	defer opened.Close()
	_, err = io.Copy(to, opened)
	return err
}

// imageOf is the image of the one layer. It is not compressed: over loopback that is fastest.
func imageOf(archive string) (v1.Image, error) {
	content, err := os.ReadFile(archive)
	if err != nil {
		return nil, err
	}
	layer := static.NewLayer(content, types.OCIUncompressedLayer)
	made, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	config, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{
		User: "65532:65532",
		// Nothing is fetched: what a source needs, it has, or the test says so at once.
		Env: []string{"PATH=/usr/local/go/bin", "GOTOOLCHAIN=local", "GOPROXY=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"},
	}
	return mutate.ConfigFile(made, config)
}
