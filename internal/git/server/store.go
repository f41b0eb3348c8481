package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"

	"slipway.dev/slipway/internal/git/pack"
)

// maxPacks is how many packs a repository has before they are made one. Every request looks at all of them.
const maxPacks = 20

// storePack stores a pack beside the others, so that it survives a power cut. It is looked at in a folder of its own: a
// pack that ends too early, is damaged or too large, leaves nothing. A pack without objects is none.
func storePack(ctx context.Context, repo *repository, sent io.Reader, limits pack.Limits) (plumbing.Hash, error) {
	own, err := os.MkdirTemp(repo.dir, receiving)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("storing the pack: %w", err)
	}
	defer os.RemoveAll(own)
	stored, err := pack.Store(ctx, own, sent, limits)
	if _, large := errors.AsType[*pack.LimitError](err); large {
		return plumbing.ZeroHash, fmt.Errorf("%w; %s takes no more in one push: push an older commit first, or keep what is large out of git", err, repo.name)
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("storing the pack: %w", withoutPath(err))
	}
	// Objects in files of their own are used with their pack only, and an index without its pack is nothing.
	for _, pattern := range []string{"??/*", "pack/*.idx", "pack/*.pack"} {
		if err := moveObjects(own, repo.dir, pattern); err != nil {
			return plumbing.ZeroHash, fmt.Errorf("storing the pack: %w", withoutPath(err))
		}
	}
	return stored.Name, nil
}

// moveObjects moves files from one repository to another.
func moveObjects(from, to, pattern string) error {
	found, err := filepath.Glob(filepath.Join(from, "objects", filepath.FromSlash(pattern)))
	if err != nil {
		return err
	}
	folders := map[string]bool{}
	for _, path := range found {
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		folder := filepath.Join(to, filepath.Dir(relative))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := errors.Join(syncFile(path), os.Rename(path, filepath.Join(to, relative))); err != nil {
			return err
		}
		folders[folder] = true
	}
	for folder := range folders {
		if err := errors.Join(syncFile(folder), syncFile(filepath.Dir(folder))); err != nil {
			return err
		}
	}
	return nil
}

// receiving begins the name of the folder of a pack that is being received.
const receiving = "tmp_push_"

// housekeep makes one pack of many, some time after a push, when nobody uses the repository.
func (s *Server) housekeep(ctx context.Context, repo *repository) {
	packs, err := filepath.Glob(filepath.Join(repo.dir, "objects", "pack", "pack-*.pack"))
	if err != nil || len(packs) <= maxPacks {
		return
	}
	s.repos.work.Go(func() {
		if !repo.objects.TryLock() {
			return // in use; the next push looks again
		}
		defer repo.objects.Unlock()
		if err := repack(ctx, repo); err != nil {
			s.logger.Warn("housekeeping has failed", "repository", repo.name, "error", err)
		}
	})
}

// repack writes all that references lead to into one pack and removes the others. The new one is whole before the old
// ones go. The caller holds repo.objects.
func repack(ctx context.Context, repo *repository) error {
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
	loose, err := filepath.Glob(filepath.Join(repo.dir, "objects", "??", "*"))
	if err != nil {
		return err
	}
	source, sink := io.Pipe()
	go func() { sink.CloseWithError(writePack(sink, store, ids)) }()
	defer source.Close()
	// What was taken once is not refused now.
	kept, err := storePack(ctx, repo, source, pack.Limits{Packed: math.MaxInt64, Unpacked: math.MaxInt64, Objects: math.MaxInt64})
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	for _, path := range loose { // the new pack has them whole
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return removePacks(repo, old, kept)
}

func removePacks(repo *repository, packs []plumbing.Hash, but plumbing.Hash) error {
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
