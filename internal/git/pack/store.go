package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// Store reads a pack to its end and stores it below dir, a folder of its own, as git has it: objects/pack/pack-NAME.pack
// with its index, not yet synced; and beside it, in files of their own, the objects that the pack has as differences and that are large
// or made of what is large. After an error dir may hold anything, and nothing of use. A pack that is over a limit is a
// LimitError; one that ends too early has io.ErrUnexpectedEOF in its error.
func Store(ctx context.Context, dir string, from io.Reader, limits Limits) (Stored, error) {
	stored, err := store(ctx, dir, from, limits)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return stored, err
}

func store(ctx context.Context, dir string, from io.Reader, limits Limits) (stored Stored, err error) {
	folder := filepath.Join(dir, "objects", "pack")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Stored{}, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "tmp_pack"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return Stored{}, err
	}
	defer file.Close()
	found := &contents{limits: limits}
	in := newInput(from, file, limits.Packed)
	name, err := found.scan(ctx, in)
	stored = Stored{Objects: len(found.entries), Packed: in.offset(), Unpacked: found.unpacked}
	if err != nil || len(found.entries) == 0 {
		return stored, err
	}
	work := newResolver(found, file, dir)
	err = work.resolve(ctx)
	if err := errors.Join(err, work.held.close()); err != nil {
		return stored, err
	}
	if err := file.Close(); err != nil {
		return stored, err
	}
	stored.Name = plumbing.Hash(name)
	base := filepath.Join(folder, fmt.Sprintf("pack-%x", name))
	index, err := os.OpenFile(base+".idx", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return stored, err
	}
	if err := errors.Join(writeIndex(index, found.entries, name), index.Close()); err != nil {
		return stored, err
	}
	return stored, os.Rename(file.Name(), base+".pack")
}
