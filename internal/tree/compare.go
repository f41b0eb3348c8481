package tree

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

func isFolder(e object.TreeEntry) bool    { return e.Mode == filemode.Dir }
func isSubmodule(e object.TreeEntry) bool { return e.Mode == filemode.Submodule }

// comparison holds a tree against what a commit has of its directory.
type comparison struct {
	tree      *Tree
	committed map[string]object.TreeEntry // by path in the directory
	index     *gitIndex
}

// differs says whether any file of the source is not as committed.
func (c *comparison) differs(ctx context.Context) (bool, error) {
	root, err := os.OpenRoot(c.tree.root)
	if err != nil {
		return false, err
	}
	defer root.Close()
	there := map[string]bool{}
	for _, f := range c.tree.Files {
		there[f.Name] = true
		if inSubmodule(f.Name, c.committed) {
			continue
		}
		entry, known := c.committed[f.Name]
		if !known || entry.Mode != c.modeOf(f, entry) {
			return true, nil
		}
	}
	for name, entry := range c.committed {
		if !there[name] && !isSubmodule(entry) && !c.index.leftOut(name) && !c.tree.ignores(name) {
			return true, nil
		}
	}
	for _, f := range c.tree.Files {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		entry, known := c.committed[f.Name]
		if !known {
			continue // in a submodule
		}
		same, err := c.sameContent(root, f, entry.Hash)
		if err != nil || !same {
			return true, err
		}
	}
	return false, nil
}

// ignores is Rules.Ignores for a path in the tree, which may be a part of what the rules are for.
func (t *Tree) ignores(name string) bool {
	below, err := filepath.Rel(t.rules.root, t.root)
	return err == nil && t.rules.Ignores(path.Join(filepath.ToSlash(below), name), false)
}

// modeOf is the mode with which git would keep a file.
func (c *comparison) modeOf(f File, entry object.TreeEntry) filemode.FileMode {
	switch {
	case f.Link != "":
		return filemode.Symlink
	case runtime.GOOS == "windows" && entry.Mode != filemode.Symlink:
		return entry.Mode // there is no permission to execute
	case f.Executable:
		return filemode.Executable
	}
	return filemode.Regular
}

func (c *comparison) sameContent(root *os.Root, f File, want plumbing.Hash) (bool, error) {
	if f.Link != "" {
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(f.Link)) == want, nil
	}
	file, err := root.Open(filepath.FromSlash(f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if known, ok := c.index.hashOf(f.Name, info); ok {
		return known == want, nil
	}
	hasher := plumbing.NewHasher(plumbing.BlobObject, info.Size())
	if _, err := io.Copy(hasher, file); err != nil {
		return false, err
	}
	return hasher.Sum() == want, nil
}

// gitIndex is what git last saw of the files in a directory. A nil one knows nothing.
type gitIndex struct {
	entries map[string]*index.Entry // by path in the directory
	written time.Time
}

// readIndex reads the index, which only saves work: one that cannot be read is as if it were not there.
func readIndex(storage *filesystem.Storage, folder string) *gitIndex {
	info, err := storage.Filesystem().Stat("index")
	if err != nil {
		return nil
	}
	all, err := storage.Index()
	if err != nil {
		return nil
	}
	i := &gitIndex{entries: map[string]*index.Entry{}, written: info.ModTime()}
	const merged = 0 // the library's constant of that name is not git's
	for _, entry := range all.Entries {
		if name, inside := relativeTo(folder, entry.Name); inside && entry.Stage == merged && !entry.IntentToAdd {
			i.entries[name] = entry
		}
	}
	return i
}

// hashOf is the hash of a file that was not written since git read it. One that was written when the index was, or
// later, may have been written again within the clock's grain.
func (i *gitIndex) hashOf(name string, info fs.FileInfo) (plumbing.Hash, bool) {
	if i == nil {
		return plumbing.ZeroHash, false
	}
	entry, known := i.entries[name]
	if !known || !entry.ModifiedAt.Equal(info.ModTime()) || int64(entry.Size) != info.Size() || !info.ModTime().Before(i.written) {
		return plumbing.ZeroHash, false
	}
	return entry.Hash, true
}

// leftOut says whether git was told not to check the file out.
func (i *gitIndex) leftOut(name string) bool {
	if i == nil {
		return false
	}
	entry, known := i.entries[name]
	return known && entry.SkipWorktree
}
