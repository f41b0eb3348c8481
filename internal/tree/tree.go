// Package tree knows what a directory's source is: which of its files count, and what they are as a whole, as a list, a
// digest, an archive, and a git revision. Watching, the builders and the source artifact all take it from here, so that
// they mean the same files. It reads files and nothing else: no network, no other programs, nothing written.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// File is a file of the source: a regular one, or a symbolic link to what is in the tree.
type File struct {
	Name       string // relative to the root, with slashes
	Executable bool   // whether its owner may execute it; false for links
	Size       int64  // when it was listed; 0 for links
	Link       string // what a symbolic link holds, with slashes; "" for a regular file
}

// Tree is the source of a directory: the files that were there when it was read. Their content is read when it is asked
// for.
type Tree struct {
	root  string
	rules *Rules
	Files []File // sorted by name
	// Odd are names of what is there and cannot be part of a tree: symbolic links that lead out of it, sockets, pipes and
	// devices; sorted.
	Odd []string
}

// Read lists the source of the directory for which the rules are. Folders without files are not part of it. An error
// wraps fs.ErrNotExist when the directory is not there.
func Read(ctx context.Context, r *Rules) (*Tree, error) {
	t := &Tree{root: r.root, rules: r}
	if info, err := os.Stat(r.root); err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("reading the source: %s is not a directory", r.root)
	}
	err := r.walk(".", refuse, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() {
			return ctx.Err()
		}
		return t.add(name, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	slices.SortFunc(t.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(t.Odd)
	return t, nil
}

// Root is the directory, absolute and without symbolic links.
func (t *Tree) Root() string { return t.root }

func (t *Tree) add(name string, entry fs.DirEntry) error {
	switch entry.Type() {
	case 0:
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		t.Files = append(t.Files, File{Name: name, Executable: info.Mode()&0o100 != 0, Size: info.Size()})
	case fs.ModeSymlink:
		target, err := os.Readlink(filepath.Join(t.root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		target = filepath.ToSlash(target)
		if !staysInside(name, target) {
			t.Odd = append(t.Odd, name)
			return nil
		}
		t.Files = append(t.Files, File{Name: name, Link: target})
	default:
		t.Odd = append(t.Odd, name)
	}
	return nil
}

// staysInside says whether what a link holds leads nowhere out of the tree, whatever other links are on the way: it may
// go up at its beginning alone, where the folders are real.
func staysInside(name, target string) bool {
	if target == "" || path.IsAbs(target) || filepath.IsAbs(filepath.FromSlash(target)) {
		return false
	}
	down := target
	for strings.HasPrefix(down, "../") || strings.HasPrefix(down, "./") {
		_, down, _ = strings.Cut(down, "/")
	}
	if down != ".." && slices.Contains(strings.Split(down, "/"), "..") {
		return false
	}
	return filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), target)))
}

// Walk visits the files and folders that are source at a path or below it ("." for all), by their path relative to the
// root and with slashes, the path itself first, each folder before what is in it and in the order of names. What
// disappears meanwhile or may not be read is passed over.
func (r *Rules) Walk(from string, visit func(name string, entry fs.DirEntry) error) error {
	return r.walk(from, func(err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	}, visit)
}

func refuse(err error) error { return err }

func (r *Rules) walk(from string, unreadable func(error) error, visit func(name string, entry fs.DirEntry) error) error {
	if r.Ignores(path.Dir(from), true) {
		return nil
	}
	start := filepath.Join(r.root, filepath.FromSlash(from))
	return filepath.WalkDir(start, func(full string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		inside, err := filepath.Rel(r.root, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(inside)
		if name != "." && r.ignoresOne(name, entry.IsDir()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return visit(name, entry)
	})
}

// Ignored lists the files that are in the directory and no source, sorted. What is in .git, in other version control's
// folders and in folders of dependencies is left out.
func (r *Rules) Ignored(ctx context.Context) ([]string, error) {
	var names []string
	hidden := map[string]bool{} // folders that are no source
	err := filepath.WalkDir(r.root, func(full string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(r.root, full)
		if err != nil || inside == "." {
			return err
		}
		name := filepath.ToSlash(inside)
		ignored := hidden[path.Dir(name)] || r.ignoresOne(name, entry.IsDir())
		switch {
		case !ignored:
		case !entry.IsDir():
			names = append(names, name)
		case slices.Contains(foreignFolders, entry.Name()):
			return fs.SkipDir
		default:
			hidden[name] = true
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is no source: %w", err)
	}
	slices.Sort(names)
	return names, nil
}
