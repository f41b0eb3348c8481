package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxPacks is how many packs a repository has before they are made one. Every request looks at all of them.
const maxPacks = 20

// storePack stores a pack beside the others, so that it survives a power cut. It is indexed in a folder of its own: a
// pack that ends too early, or is damaged, leaves nothing. A pack without objects is none.
func storePack(repo *repository, pack io.Reader) error {
	own, err := os.MkdirTemp(repo.dir, receiving)
	if err != nil {
		return fmt.Errorf("storing the pack: %w", err)
	}
	defer os.RemoveAll(own)
	store := filesystem.NewStorage(osfs.New(own), cache.NewObjectLRU(cacheSize))
	defer store.Close()
	writer, err := store.PackfileWriter()
	if err != nil {
		return fmt.Errorf("storing the pack: %w", err)
	}
	count, err := io.Copy(writer, pack)
	if count == 0 && err == nil {
		err = io.ErrUnexpectedEOF
	}
	if closed := writer.Close(); err == nil {
		err = closed // of two errors it is the one that follows from the other
	}
	if err != nil {
		return fmt.Errorf("storing the pack: %w", withoutPath(err))
	}
	// An index without its pack is nothing, so the pack comes last.
	for _, pattern := range []string{"*.idx", "*.pack"} {
		made, err := filepath.Glob(filepath.Join(own, "objects", "pack", pattern))
		if err != nil {
			return err
		}
		for _, path := range made {
			if err := errors.Join(syncFile(path), os.Rename(path, filepath.Join(repo.dir, "objects", "pack", filepath.Base(path)))); err != nil {
				return fmt.Errorf("storing the pack: %w", withoutPath(err))
			}
		}
	}
	return syncFile(filepath.Join(repo.dir, "objects", "pack"))
}

// receiving begins the name of the folder of a pack that is being received.
const receiving = "tmp_push_"

// lastBytes remembers the last 20 bytes that were read: of a pack its name.
type lastBytes struct {
	from io.Reader
	last [20]byte
}

func (l *lastBytes) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if read := p[:n]; n >= len(l.last) {
		copy(l.last[:], read[n-len(l.last):])
	} else if n > 0 {
		copy(l.last[:], l.last[n:])
		copy(l.last[len(l.last)-n:], read)
	}
	return n, err
}

// errTooLarge is git's wording for receive.maxInputSize.
var errTooLarge = errors.New("pack exceeds maximum allowed size")

// limited fails when more is read than may be.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// housekeep makes one pack of many, some time after a push, when nobody uses the repository.
func (s *Server) housekeep(repo *repository) {
	packs, err := filepath.Glob(filepath.Join(repo.dir, "objects", "pack", "pack-*.pack"))
	if err != nil || len(packs) <= maxPacks {
		return
	}
	s.repos.work.Go(func() {
		if !repo.objects.TryLock() {
			return // in use; the next push looks again
		}
		defer repo.objects.Unlock()
		if err := repack(repo); err != nil {
			s.logger.Warn("housekeeping has failed", "repository", repo.name, "error", err)
		}
	})
}

// repack writes all that references lead to into one pack and removes the others. The new one is whole before the old
// ones go. The caller holds repo.objects.
func repack(repo *repository) error {
	store := repo.open()
	defer store.Close()
	now, err := repo.snapshot(store)
	if err != nil {
		return err
	}
	old, err := store.ObjectPacks()
	if err != nil {
		return err
	}
	ids, err := selection{store: store, wants: now.tips()}.objects()
	if err != nil {
		return err
	}
	source, sink := io.Pipe()
	go func() { sink.CloseWithError(writePack(sink, store, ids)) }()
	defer source.Close()
	kept := &lastBytes{from: source}
	if err := storePack(repo, kept); err != nil {
		return err
	}
	return removePacks(store, repo, old, plumbing.Hash(kept.last))
}

func removePacks(store *filesystem.Storage, repo *repository, packs []plumbing.Hash, but plumbing.Hash) error {
	if err := store.Close(); err != nil {
		return err
	}
	var errs []error
	for _, pack := range packs {
		if pack == but {
			continue
		}
		base := filepath.Join(repo.dir, "objects", "pack", "pack-"+pack.String())
		// Without its pack an index is nothing, so the pack goes first.
		errs = append(errs, os.Remove(base+".pack"), os.Remove(base+".idx"))
	}
	return errors.Join(errs...)
}
