package client

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// CheckPath says what is wrong with a file's or folder's path in a repository; nil when nothing is.
func CheckPath(name string) error {
	if name == "." || !fs.ValidPath(name) {
		return fmt.Errorf("%q is no path inside of a repository", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		// What git itself refuses to check out: a repository's own folder, and its names on other systems.
		if lower := strings.ToLower(part); lower == ".git" || lower == "git~1" || strings.ContainsAny(part, "\\:\x00") {
			return fmt.Errorf("%q is no path that git allows", name)
		}
	}
	return nil
}

// builder makes trees and remembers every object that the remote has not.
type builder struct {
	store storer.EncodedObjectStorer
	made  []plumbing.Hash
}

func (b *builder) add(kind plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	made := b.store.NewEncodedObject()
	made.SetType(kind)
	made.SetSize(int64(len(content)))
	writer, err := made.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := writer.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := writer.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	b.made = append(b.made, made.Hash())
	return b.store.SetEncodedObject(made)
}

func (b *builder) tree(entries []object.TreeEntry) (plumbing.Hash, error) {
	sort.Sort(object.TreeEntrySorter(entries))
	made := b.store.NewEncodedObject()
	if err := (&object.Tree{Entries: entries}).Encode(made); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("writing a tree: %w", err)
	}
	b.made = append(b.made, made.Hash())
	return b.store.SetEncodedObject(made)
}

// folder writes files as a tree. Their paths have passed CheckPath.
func (b *builder) folder(files map[string]string) (plumbing.Hash, error) {
	below := map[string]map[string]string{}
	var entries []object.TreeEntry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if first, rest, nested := strings.Cut(name, "/"); nested {
			if below[first] == nil {
				below[first] = map[string]string{}
			}
			below[first][rest] = files[name]
			continue
		}
		id, err := b.add(plumbing.BlobObject, []byte(files[name]))
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: id})
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		if _, taken := files[name]; taken {
			return plumbing.ZeroHash, fmt.Errorf("%q is a file and a folder", name)
		}
		id, err := b.folder(below[name])
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: id})
	}
	return b.tree(entries)
}

// replace returns the tree that has content at the folder's path and is otherwise as before. A zero root is empty.
func (b *builder) replace(root plumbing.Hash, at string, content plumbing.Hash) (plumbing.Hash, error) {
	if at == "." || at == "" {
		return content, nil
	}
	first, rest, _ := strings.Cut(path.Clean(at), "/")
	var entries []object.TreeEntry
	if !root.IsZero() {
		before, err := object.GetTree(b.store, root)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("reading tree %s: %w", root, err)
		}
		entries = before.Entries
	}
	below := plumbing.ZeroHash
	place := slices.IndexFunc(entries, func(entry object.TreeEntry) bool { return entry.Name == first })
	if place >= 0 && entries[place].Mode == filemode.Dir {
		below = entries[place].Hash
	}
	id, err := b.replace(below, rest, content)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	entries = slices.Clone(entries)
	entry := object.TreeEntry{Name: first, Mode: filemode.Dir, Hash: id}
	switch {
	case place < 0:
		entries = append(entries, entry)
	case entries[place] == entry:
		return root, nil
	default:
		entries[place] = entry
	}
	return b.tree(entries)
}

// errNothing keeps an empty folder from being written, which git does not know.
var errNothing = errors.New("there are no files to commit")
