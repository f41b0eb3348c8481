package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// writing begins the name of a file that becomes a reference. It is in the repository's folder and not among the
// references, where every file is one.
const writing = "tmp_ref_"

// snapshot is where the references of a repository were at one moment.
type snapshot struct {
	head plumbing.ReferenceName // what HEAD points to; it may not exist
	refs []*plumbing.Reference  // sorted by name, without HEAD
}

// of returns where a reference is; zero when it is not there.
func (s *snapshot) of(name plumbing.ReferenceName) plumbing.Hash {
	at, found := slices.BinarySearchFunc(s.refs, name, func(ref *plumbing.Reference, name plumbing.ReferenceName) int {
		return cmp.Compare(ref.Name(), name)
	})
	if !found {
		return plumbing.ZeroHash
	}
	return s.refs[at].Hash()
}

// tips are the objects that references lead to.
func (s *snapshot) tips() []plumbing.Hash {
	var tips []plumbing.Hash
	for _, ref := range s.refs {
		tips = append(tips, ref.Hash())
	}
	return tips
}

// snapshot lists the references; the caller must not hold r.refs.
func (r *repository) snapshot(store storer.ReferenceStorer) (*snapshot, error) {
	r.refs.RLock()
	defer r.refs.RUnlock()
	return readRefs(store)
}

func readRefs(store storer.ReferenceStorer) (*snapshot, error) {
	found := &snapshot{}
	head, err := store.Reference(plumbing.HEAD)
	if err != nil {
		return nil, fmt.Errorf("reading HEAD: %w", err)
	}
	found.head = head.Target()
	all, err := store.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("listing references: %w", err)
	}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && ref.Name() != plumbing.HEAD {
			found.refs = append(found.refs, ref)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing references: %w", err)
	}
	slices.SortFunc(found.refs, func(a, b *plumbing.Reference) int { return cmp.Compare(a.Name(), b.Name()) })
	return found, nil
}

// setRef writes a reference so that it is the old or the new one whenever the process ends. The caller holds r.refs.
func (r *repository) setRef(name plumbing.ReferenceName, content string) error {
	path := filepath.Join(r.dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(r.dir, writing)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(content + "\n")
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFile(filepath.Dir(path))
}

// removeRef removes a reference, and the folders that are empty then: one of them may become a reference's name. The
// caller holds r.refs.
func (r *repository) removeRef(name plumbing.ReferenceName) error {
	path := filepath.Join(r.dir, filepath.FromSlash(name.String()))
	if err := os.Remove(path); err != nil {
		return err
	}
	for dir := filepath.Dir(path); strings.Count(strings.TrimPrefix(filepath.ToSlash(dir), filepath.ToSlash(r.dir)), "/") > 2; dir = filepath.Dir(dir) {
		if err := os.Remove(dir); err != nil {
			break // it is not empty
		}
	}
	return nil
}

// syncFile makes what was written to a file or a folder outlive a power cut. A file that is not there is none to lose.
func syncFile(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// validRefName is git's rule for a name that a push may use.
func validRefName(name plumbing.ReferenceName) bool {
	return strings.HasPrefix(name.String(), "refs/") && strings.Count(name.String(), "/") >= 2 && name.Validate() == nil &&
		!strings.ContainsRune(name.String(), '\\')
}
