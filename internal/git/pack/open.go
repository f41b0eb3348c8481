package pack

import (
	"errors"
	"os"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

const (
	// cacheSize bounds what of the objects that were read is kept, in bytes.
	cacheSize = 4 * cache.MiByte
	// maxOpenPacks bounds the files that are kept open.
	maxOpenPacks = 32
)

// Repository is a repository on the disk, as it is from when it was opened on. What Store has written whole it reads so,
// from the disk. One goroutine may use it.
type Repository struct {
	*filesystem.Storage
	dir   *dotgit.DotGit
	loose map[plumbing.Hash]bool // objects in files of their own; nil: not looked yet
}

// Open opens the repository in a folder, which need not hold anything yet. It is to be closed.
func Open(dir string) *Repository {
	files := osfs.New(dir)
	options := filesystem.Options{LargeObjectThreshold: LargeObject, MaxOpenDescriptors: maxOpenPacks}
	return &Repository{Storage: filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(cacheSize), options), dir: dotgit.New(files)}
}

// EncodedObject returns an object of a kind, or of any with plumbing.AnyObject; plumbing.ErrObjectNotFound when there is
// none.
func (r *Repository) EncodedObject(kind plumbing.ObjectType, id plumbing.Hash) (plumbing.EncodedObject, error) {
	if r.loose == nil {
		ids, err := r.dir.Objects()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		r.loose = map[plumbing.Hash]bool{}
		for _, id := range ids {
			r.loose[id] = true
		}
	}
	if !r.loose[id] {
		return r.Storage.EncodedObject(kind, id)
	}
	found, err := r.whole(id)
	if err != nil {
		return nil, err
	}
	if kind != plumbing.AnyObject && found.Type() != kind {
		return nil, plumbing.ErrObjectNotFound
	}
	return found, nil
}

// whole returns an object that has a file of its own.
func (r *Repository) whole(id plumbing.Hash) (plumbing.EncodedObject, error) {
	file, err := r.dir.Object(id)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, plumbing.ErrObjectNotFound
		}
		return nil, err
	}
	defer file.Close()
	reader, err := objfile.NewReader(file)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	kind, size, err := reader.Header()
	if err != nil {
		return nil, err
	}
	return dotgit.NewEncodedObject(r.dir, id, kind, size), nil
}
