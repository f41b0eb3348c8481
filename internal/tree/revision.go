package tree

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Revision is what git says of a tree.
type Revision struct {
	Branch string // the checked-out one; "" when a commit is checked out by itself
	Commit string // the hash, in hexadecimal
	// Dirty says that the tree is not what the commit holds of its directory. Files that are no source do not make it
	// dirty, and changes elsewhere in the repository do not either.
	Dirty bool
	// Origin is the URL of the remote "origin", without a user or a password; "" where there is none.
	Origin string
}

// String is the revision in Flux's form: main@sha1:4f1f..., or sha1:4f1f... without a branch. It does not tell of
// Dirty.
func (r Revision) String() string {
	algorithm := "sha1"
	if len(r.Commit) > 40 {
		algorithm = "sha256"
	}
	if r.Branch == "" {
		return algorithm + ":" + r.Commit
	}
	return r.Branch + "@" + algorithm + ":" + r.Commit
}

// ErrNoRevision means that a directory is in no git repository, or in one without a commit.
var ErrNoRevision = errors.New("there is no git revision")

// Revision reads what git knows of the tree, without the git program. It wraps ErrNoRevision where there is nothing to
// know; other errors are of a repository that cannot be read, such as one in a format that go-git does not know.
//
// Contents are compared by hash, but where git's index knows that a file was not written since. So a file that git
// stores otherwise than it is on the disk (line ends, git-lfs) counts as changed once it was written.
func (t *Tree) Revision(ctx context.Context) (Revision, error) {
	repository, found := findRepository(t.root)
	if !found {
		return Revision{}, fmt.Errorf("%s is in no git repository: %w", t.root, ErrNoRevision)
	}
	storage, err := repository.storage()
	if err != nil {
		return Revision{}, fmt.Errorf("opening the git repository of %s: %w", t.root, err)
	}
	head, err := storer.ResolveReference(storage, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Revision{}, fmt.Errorf("%s has no commit yet: %w", t.root, ErrNoRevision)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("reading what is checked out in %s: %w", t.root, err)
	}
	revision := Revision{Commit: head.Hash().String(), Origin: origin(storage)}
	if head.Name().IsBranch() {
		revision.Branch = head.Name().Short()
	}
	if revision.Dirty, err = t.dirty(ctx, repository, storage, head.Hash()); err != nil {
		return Revision{}, fmt.Errorf("comparing %s with commit %s: %w", t.root, revision.Commit, err)
	}
	return revision, nil
}

func origin(storage *filesystem.Storage) string {
	config, err := storage.Config()
	if err != nil || config.Remotes["origin"] == nil || len(config.Remotes["origin"].URLs) == 0 {
		return ""
	}
	address := config.Remotes["origin"].URLs[0]
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme == "" {
		return address // user@host:path, in which nothing is secret
	}
	parsed.User = nil
	return parsed.String()
}

func (t *Tree) dirty(ctx context.Context, repository gitRepository, storage *filesystem.Storage, hash plumbing.Hash) (bool, error) {
	below, err := filepath.Rel(repository.top, t.root)
	if err != nil {
		return false, err
	}
	below = filepath.ToSlash(below)
	committed, err := committedFiles(ctx, storage, hash, below)
	if errors.Is(err, object.ErrDirectoryNotFound) {
		return len(t.Files) > 0, nil
	}
	if err != nil {
		return false, err
	}
	compare := comparison{tree: t, committed: committed, index: readIndex(storage, below)}
	return compare.differs(ctx)
}

// committedFiles are the files that a commit has in a folder ("." for all), by their path in it. A submodule is one, too.
func committedFiles(ctx context.Context, storage *filesystem.Storage, hash plumbing.Hash, folder string) (map[string]object.TreeEntry, error) {
	commit, err := object.GetCommit(storage, hash)
	if err != nil {
		return nil, err
	}
	top, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	if folder != "." {
		if top, err = top.Tree(folder); err != nil {
			return nil, err
		}
	}
	files := map[string]object.TreeEntry{}
	var list func(prefix string, tree *object.Tree) error
	list = func(prefix string, tree *object.Tree) error {
		for _, entry := range tree.Entries {
			name := prefix + entry.Name
			if !isFolder(entry) {
				files[name] = entry
				continue
			}
			below, err := object.GetTree(storage, entry.Hash)
			if err != nil {
				return err
			}
			if err := list(name+"/", below); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	return files, list("", top)
}

// inSubmodule says whether a path is in a submodule, of which the commit knows no files.
func inSubmodule(name string, committed map[string]object.TreeEntry) bool {
	for i := range len(name) {
		if name[i] == '/' {
			if entry, known := committed[name[:i]]; known && isSubmodule(entry) {
				return true
			}
		}
	}
	return false
}

// relativeTo is a path of the repository as one in a folder of it; false for one that is not in there.
func relativeTo(folder, name string) (string, bool) {
	if folder == "." {
		return name, true
	}
	return strings.CutPrefix(name, folder+"/")
}
