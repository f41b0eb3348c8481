//go:build linux

package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Program is the name of the supervisor's program in its folder.
const Program = "slipway-init"

// Install copies the running program into a folder that the app's container will see, too.
func Install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fresh := filepath.Join(dir, "."+Program)
	if err := copyFile(self, fresh, 0o755); err != nil {
		return fmt.Errorf("installing the supervisor: %w", err)
	}
	return os.Rename(fresh, filepath.Join(dir, Program))
}

// Seed copies folders of the app's image into the supervisor's folder, from which they are mounted in their own place:
// there they can be written, whoever owns the image's files. A folder that is there already, since the pod's first
// containers were started again, is left as it is. What the app's user cannot read is left out: the app could not either.
func Seed(dir string, folders []string) error {
	for _, folder := range folders {
		to := filepath.Join(dir, filesDir, folder)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		fresh := filepath.Join(dir, incoming, "seed")
		if err := os.RemoveAll(fresh); err != nil {
			return err
		}
		for _, parent := range []string{fresh, filepath.Dir(to)} {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		if err := copyTree(folder, fresh); err != nil {
			return fmt.Errorf("copying %s of the image: %w", folder, err)
		}
		if err := os.Rename(fresh, to); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies what is below a folder into one that exists: files, folders, links.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if name == from && errors.Is(err, fs.ErrNotExist) {
				return nil // the first sync makes it
			}
			if errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return err
		}
		inside, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := path.Join(to, inside)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case inside == ".":
			return nil
		case entry.IsDir():
			return os.Mkdir(target, info.Mode().Perm()|0o700)
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case info.Mode().IsRegular():
			err := copyFile(name, target, info.Mode().Perm())
			if errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return err
		}
		return nil // a socket or a device has no content
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err == nil {
		err = target.Chmod(mode)
	}
	return errors.Join(err, target.Close())
}
