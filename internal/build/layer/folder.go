package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// FromFolder reads files (paths in dir with slashes) as entries below the path to; nil files means all in dir. Modes
// are 0755 for what may be run and 0644 for the rest, since what a checkout makes of them differs from machine to
// machine. Symbolic links stay links, wherever they lead in the container.
func FromFolder(dir string, files []string, to string) ([]File, error) {
	if files == nil {
		var err error
		if files, err = list(dir); err != nil {
			return nil, err
		}
	}
	entries := make([]File, 0, len(files))
	for _, name := range files {
		entry, err := read(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since the list was made; the next build sees it, too
		}
		if err != nil {
			return nil, err
		}
		entry.Name = strings.TrimPrefix(path.Join("/", to, name), "/") + entry.Name
		entries = append(entries, entry)
	}
	return entries, nil
}

// list names all files and empty folders below dir; folders end with a slash.
func list(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		inside, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		inside = filepath.ToSlash(inside)
		if entry.IsDir() {
			inside += "/"
		}
		names = append(names, inside)
		return nil
	})
	return names, err
}

// read returns an entry whose Name is what has to follow its path: a slash for folders.
func read(dir, name string) (File, error) {
	file := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Lstat(file)
	if err != nil {
		return File{}, err
	}
	switch {
	case info.IsDir():
		return File{Name: "/", Mode: 0o755}, nil
	case info.Mode().IsRegular():
		content, err := os.ReadFile(file)
		return File{Mode: mode(info), Content: content}, err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		if err != nil {
			return File{}, err
		}
		return File{Mode: 0o777, Link: filepath.ToSlash(target)}, nil
	}
	return File{}, fmt.Errorf("packing %s: it is neither a file nor a folder nor a link", name)
}

func mode(info fs.FileInfo) int64 {
	if info.Mode()&0o111 != 0 {
		return 0o755
	}
	return 0o644
}
