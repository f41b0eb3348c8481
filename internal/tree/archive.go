package tree

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// ErrChanged means that a file was written while it was being read.
var ErrChanged = errors.New("it changed meanwhile")

// WriteTar writes the tree as a tar archive that depends on nothing but the names, contents and permissions to execute:
// sorted, no times, owner 0, modes 0644 and 0755. Folders precede what is in them.
func (t *Tree) WriteTar(ctx context.Context, w io.Writer) error {
	root, err := os.OpenRoot(t.root)
	if err != nil {
		return fmt.Errorf("archiving the source: %w", err)
	}
	defer root.Close()
	out := tar.NewWriter(w)
	folders := map[string]bool{".": true}
	for _, f := range t.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeFolders(out, path.Dir(f.Name), folders); err != nil {
			return fmt.Errorf("archiving the source: %w", err)
		}
		if err := writeFile(out, root, f); err != nil {
			return fmt.Errorf("archiving %s: %w", f.Name, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("archiving the source: %w", err)
	}
	return nil
}

func header(kind byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

func writeFolders(out *tar.Writer, folder string, written map[string]bool) error {
	if written[folder] {
		return nil
	}
	if err := writeFolders(out, path.Dir(folder), written); err != nil {
		return err
	}
	written[folder] = true
	return out.WriteHeader(header(tar.TypeDir, folder+"/", 0o755))
}

func writeFile(out *tar.Writer, root *os.Root, f File) error {
	if f.Link != "" {
		h := header(tar.TypeSymlink, f.Name, 0o777)
		h.Linkname = f.Link
		return out.WriteHeader(h)
	}
	// What has become a link that leads out of the tree meanwhile does not open.
	file, err := root.Open(filepath.FromSlash(f.Name))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return ErrChanged
	}
	h := header(tar.TypeReg, f.Name, mode(f))
	h.Size = info.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	written, err := io.Copy(out, io.LimitReader(file, h.Size))
	if err == nil && written != h.Size {
		err = ErrChanged
	}
	return err
}

func mode(f File) int64 {
	if f.Executable {
		return 0o755
	}
	return 0o644
}

// Digest tells the tree apart from all others, by what WriteTar would write: "sha256:" and 64 hexadecimal digits.
func (t *Tree) Digest(ctx context.Context) (string, error) {
	hash := sha256.New()
	if err := t.WriteTar(ctx, hash); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
