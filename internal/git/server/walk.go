package server

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

type hashes map[plumbing.Hash]struct{}

func (h hashes) has(id plumbing.Hash) bool { _, found := h[id]; return found }

// add says whether the object is new to the set.
func (h hashes) add(id plumbing.Hash) bool {
	if h.has(id) {
		return false
	}
	h[id] = struct{}{}
	return true
}

func setOf(ids []plumbing.Hash) hashes {
	set := hashes{}
	for _, id := range ids {
		set.add(id)
	}
	return set
}

// selection is which objects to send: those that wants lead to and haves do not.
type selection struct {
	store storer.EncodedObjectStorer
	wants []plumbing.Hash
	haves []plumbing.Hash
	// Commits whose parents are taken for not there: of what is wanted, and of what the client has.
	wantEdge, haveEdge hashes
}

// objects returns what to send, commits first, the newest first. It holds the commits of the history in memory and of
// trees and blobs only those that are new, so a fetch costs what it brings. An object that only older commits of the
// client have may be among them. A missing object is an error: plumbing.ErrObjectNotFound.
func (s selection) objects() ([]plumbing.Hash, error) {
	known, err := s.commits(s.haves, s.haveEdge, hashes{}, nil)
	if err != nil {
		return nil, err
	}
	seen := hashes{}
	var order []plumbing.Hash
	var trees []plumbing.Hash
	collect := func(commit *object.Commit) error {
		trees = append(trees, commit.TreeHash)
		order = append(order, commit.Hash)
		if s.wantEdge.has(commit.Hash) {
			return nil
		}
		for _, parent := range commit.ParentHashes {
			if !known.has(parent) {
				continue
			}
			// What a known parent has needs no sending.
			edge, err := object.GetCommit(s.store, parent)
			if err != nil {
				return fmt.Errorf("commit %s: %w", parent, err)
			}
			if err := s.tree(edge.TreeHash, seen, nil); err != nil {
				return err
			}
		}
		return nil
	}
	var starts []plumbing.Hash
	for _, want := range s.wants {
		start, tags, err := s.resolve(want)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			if seen.add(tag) {
				order = append(order, tag)
			}
		}
		switch start.Type() {
		case plumbing.CommitObject:
			starts = append(starts, start.Hash())
		case plumbing.TreeObject:
			trees = append(trees, start.Hash())
		default:
			if seen.add(start.Hash()) {
				order = append(order, start.Hash())
			}
		}
	}
	if _, err := s.commits(starts, s.wantEdge, known, collect); err != nil {
		return nil, err
	}
	for _, tree := range trees {
		if err := s.tree(tree, seen, &order); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// resolve follows tags to what they name, and returns the tags too.
func (s selection) resolve(id plumbing.Hash) (plumbing.EncodedObject, []plumbing.Hash, error) {
	var tags []plumbing.Hash
	for {
		found, err := s.store.EncodedObject(plumbing.AnyObject, id)
		if err != nil {
			return nil, nil, fmt.Errorf("object %s: %w", id, err)
		}
		if found.Type() != plumbing.TagObject {
			return found, tags, nil
		}
		tag, err := object.DecodeTag(s.store, found)
		if err != nil {
			return nil, nil, fmt.Errorf("tag %s: %w", id, err)
		}
		tags = append(tags, id)
		id = tag.Target
	}
}

// commits visits the commits that starts lead to, edge's parents left out, and what is in without. It returns them.
func (s selection) commits(starts []plumbing.Hash, edge, without hashes, visit func(*object.Commit) error) (hashes, error) {
	seen := hashes{}
	queue := append([]plumbing.Hash(nil), starts...)
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		if without.has(id) || !seen.add(id) {
			continue
		}
		commit, err := object.GetCommit(s.store, id)
		if errors.Is(err, plumbing.ErrObjectNotFound) && visit == nil {
			delete(seen, id) // what the client says to have and we have not
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", id, err)
		}
		if visit != nil {
			if err := visit(commit); err != nil {
				return nil, err
			}
		}
		if !edge.has(id) {
			queue = append(queue, commit.ParentHashes...)
		}
	}
	return seen, nil
}

// tree adds a tree and all in it to seen, and to order what is new there. A nil order only marks.
func (s selection) tree(id plumbing.Hash, seen hashes, order *[]plumbing.Hash) error {
	queue := []plumbing.Hash{id}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !seen.add(id) {
			continue
		}
		tree, err := object.GetTree(s.store, id)
		if err != nil {
			return fmt.Errorf("tree %s: %w", id, err)
		}
		if order != nil {
			*order = append(*order, id)
		}
		for _, entry := range tree.Entries {
			switch entry.Mode {
			case filemode.Submodule: // a commit of another repository
			case filemode.Dir:
				queue = append(queue, entry.Hash)
			default:
				if seen.add(entry.Hash) && order != nil {
					*order = append(*order, entry.Hash)
				}
			}
		}
	}
	return nil
}

// boundary returns the commits at which a history of that depth ends, and the others of it. Commits without parents end
// it anyway and are no boundary.
func boundary(store storer.EncodedObjectStorer, wants []plumbing.Hash, depth int) (ends, inside hashes, err error) {
	resolver := selection{store: store}
	ends, inside = hashes{}, hashes{}
	var level []plumbing.Hash
	for _, want := range wants {
		found, _, err := resolver.resolve(want)
		if err != nil {
			return nil, nil, err
		}
		if found.Type() == plumbing.CommitObject {
			level = append(level, found.Hash())
		}
	}
	for at := 1; len(level) > 0; at++ {
		var next []plumbing.Hash
		for _, id := range level {
			if ends.has(id) || !inside.add(id) {
				continue
			}
			commit, err := object.GetCommit(store, id)
			if err != nil {
				return nil, nil, fmt.Errorf("commit %s: %w", id, err)
			}
			if at == depth && len(commit.ParentHashes) > 0 {
				delete(inside, id)
				ends.add(id)
				continue
			}
			next = append(next, commit.ParentHashes...)
		}
		level = next
	}
	return ends, inside, nil
}

func parentsOf(store storer.EncodedObjectStorer, id plumbing.Hash) ([]plumbing.Hash, error) {
	commit, err := object.GetCommit(store, id)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", id, err)
	}
	return commit.ParentHashes, nil
}

// reaches says whether a commit is another one or an ancestor of it.
func reaches(store storer.EncodedObjectStorer, from, ancestor plumbing.Hash) (bool, error) {
	found := errors.New("found")
	_, err := selection{store: store}.commits([]plumbing.Hash{from}, nil, nil, func(commit *object.Commit) error {
		if commit.Hash == ancestor {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}
