package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const (
	// maxModules is how deep submodules may be nested.
	maxModules = 5
	// maxModulesFile is how many bytes .gitmodules may have, which is read into memory: room for thousands of submodules.
	maxModulesFile = 1 << 20
	// maxTarget is how many bytes the target of a symlink may have on Linux: PATH_MAX, less the zero at its end.
	maxTarget = 4095
)

// budget is how much was unpacked of what may be, of a repository with its submodules.
type budget struct {
	limits         limits
	files, entries int64
}

// add counts a file or a folder. A commit of a few kilobytes can hold millions: the same ones, over and over.
func (b *budget) add(size int64) error {
	if b.entries++; b.entries > b.limits.entries {
		return tooLarge("The source has more than %d files and folders, and no more are unpacked. Keep what is no source elsewhere.", b.limits.entries)
	}
	if b.files += size; b.files > b.limits.files {
		return tooLarge("The files of the source are larger than %d MiB, and no more is unpacked. Keep what is no source elsewhere.", b.limits.files>>20)
	}
	return nil
}

// checkout writes a commit's files into dir, as far as the budget goes. visit is called for each submodule.
func checkout(ctx context.Context, of *object.Commit, dir *os.Root, prefix string, budget *budget, visit func(name string, hash plumbing.Hash) error) error {
	tree, err := of.Tree()
	if err != nil {
		return fmt.Errorf("reading commit %s: %w", of.Hash, err)
	}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading commit %s: %w", of.Hash, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name = path.Join(prefix, name)
		if !fs.ValidPath(name) {
			return failed(v1alpha1.ReasonUnpackable, "Commit %s holds the path %q, which leads out of it.", of.Hash, name)
		}
		switch entry.Mode {
		case filemode.Dir, filemode.Submodule:
			if err = budget.add(0); err == nil {
				err = dir.MkdirAll(name, 0o755)
			}
			if err == nil && entry.Mode == filemode.Submodule {
				err = visit(name, entry.Hash)
			}
		default:
			err = write(tree, dir, name, entry, budget)
		}
		if err != nil {
			return err
		}
	}
}

func write(tree *object.Tree, dir *os.Root, name string, entry object.TreeEntry, budget *budget) error {
	file, err := tree.TreeEntryFile(&entry)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if err := budget.add(file.Size); err != nil {
		return err
	}
	if entry.Mode == filemode.Symlink {
		if file.Size > maxTarget {
			return failed(v1alpha1.ReasonUnpackable, "The symlink %s leads to a path of %d bytes, and Linux has none of more than %d. Remove it from the source.", name, file.Size, maxTarget)
		}
		target, err := file.Contents()
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		return dir.Symlink(target, name)
	}
	content, err := file.Reader()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer content.Close()
	mode := fs.FileMode(0o644)
	if entry.Mode == filemode.Executable {
		mode = 0o755
	}
	out, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, content); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// modules are the URLs of a commit's submodules, by path. They are asked for only where submodules are wanted, since the
// file that lists them is as large as whoever wrote it likes.
func modules(of *object.Commit) (map[string]string, error) {
	file, err := of.File(".gitmodules")
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if file.Size > maxModulesFile {
		return nil, failed(v1alpha1.ReasonUnpackable, "Commit %s has a .gitmodules of more than %d MiB, and no more is read. Shorten it, or leave spec.git.recurseSubmodules out.", of.Hash, maxModulesFile>>20)
	}
	content, err := file.Contents()
	if err != nil {
		return nil, err
	}
	known := config.NewModules()
	if err := known.Unmarshal([]byte(content)); err != nil {
		return nil, failed(v1alpha1.ReasonUnpackable, "Commit %s has a .gitmodules that cannot be read: %v", of.Hash, err)
	}
	urls := map[string]string{}
	for _, module := range known.Submodules {
		urls[module.Path] = module.URL
	}
	return urls, nil
}
