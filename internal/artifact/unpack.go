package artifact

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// Budget is what several archives may hold together, such as the layers of an image: MaxBytes bytes, and as many files as
// one archive may have.
type Budget struct {
	MaxBytes int64

	bytes int64
	files int
}

// Unpack is Unpack of an archive with what is left of the budget. Files that a later archive replaces count all the same.
func (b *Budget) Unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	plain, err := gzip.NewReader(archive)
	if err != nil {
		return fmt.Errorf("it is not compressed with gzip: %w", err)
	}
	defer plain.Close()
	entries := tar.NewReader(plain)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if b.files++; b.files > maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, maxFiles)
		}
		if entry.Size > b.MaxBytes-b.bytes {
			return fmt.Errorf("%w: more than %d MiB", ErrTooLarge, b.MaxBytes>>20)
		}
		b.bytes += entry.Size
		if err := write(root, entry, entries); err != nil {
			return fmt.Errorf("%q: %w", entry.Name, err)
		}
	}
}

// Unpack writes the files, folders and symbolic links of a tar archive compressed with gzip into dir. A name or a link
// that leads out of dir is an error, ErrRefused, and so is anything but those three.
func Unpack(archive io.Reader, dir string, maxBytes int64) error {
	return (&Budget{MaxBytes: maxBytes}).Unpack(archive, dir)
}

func write(root *os.Root, entry *tar.Header, content io.Reader) error {
	name := path.Clean(strings.TrimPrefix(entry.Name, "./"))
	if name == "." {
		return nil
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("%w: its name leads out of the artifact", ErrRefused)
	}
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	switch entry.Typeflag {
	case tar.TypeDir:
		return makeFolders(root, name)
	case tar.TypeReg:
		return writeFile(root, name, fs.FileMode(0o644)|fs.FileMode(entry.Mode)&0o111, content)
	case tar.TypeSymlink:
		if path.IsAbs(entry.Linkname) || !fs.ValidPath(path.Join(path.Dir(name), entry.Linkname)) {
			return fmt.Errorf("%w: it is a link to %q, which leads out of the artifact", ErrRefused, entry.Linkname)
		}
		return inTheWay(root, name, root.Symlink(entry.Linkname, name))
	case tar.TypeXGlobalHeader:
		return nil
	}
	return fmt.Errorf("%w: it is neither a file, nor a folder, nor a symbolic link (type %q)", ErrRefused, entry.Typeflag)
}

// makeFolders makes a folder and those above it. None of them may be a link: what is written through one is elsewhere than
// its name says, and so a link there could lead out.
func makeFolders(root *os.Root, folder string) error {
	made := ""
	for part := range strings.SplitSeq(folder, "/") {
		made = path.Join(made, part)
		info, err := root.Lstat(made)
		if errors.Is(err, fs.ErrNotExist) {
			err = root.Mkdir(made, 0o755)
		} else if err == nil && !info.IsDir() {
			err = fmt.Errorf("%w: %s is not a folder", ErrRefused, made)
		}
		if err != nil {
			return inTheWay(root, made, err)
		}
	}
	return nil
}

func writeFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		if info, missing := root.Lstat(name); missing == nil && info.Mode().IsRegular() {
			return err
		}
		return inTheWay(root, name, err)
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// inTheWay makes of an error of making something ErrRefused where the archive itself is why: it has something else of that
// name already, or the name is longer than any may be.
func inTheWay(root *os.Root, name string, err error) error {
	if err == nil || errors.Is(err, ErrRefused) {
		return err
	}
	if info, missing := root.Lstat(name); missing == nil {
		return fmt.Errorf("%w: there is another entry of its name (%s): %w", ErrRefused, info.Mode().Type(), err)
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
