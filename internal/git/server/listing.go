package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"slipway.dev/slipway/internal/git/contents"
)

// maxLog bounds a log: each commit is compared with its parent.
const maxLog = 1000

// list answers contents.Path.
func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	names, err := s.repos.all()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	listing := contents.Listing{Repositories: []contents.Repository{}}
	for _, name := range names {
		repo, err := s.repos.get(name)
		if err != nil {
			continue
		}
		store := repo.open()
		refs, err := repo.snapshot(store)
		_ = store.Close()
		if err != nil {
			s.fail(w, repo, err)
			return
		}
		found := contents.Repository{Name: name, Head: refs.head.Short(), Branches: []contents.Branch{}}
		for _, ref := range refs.refs {
			if ref.Name().IsBranch() {
				found.Branches = append(found.Branches, contents.Branch{Name: ref.Name().Short(), Commit: ref.Hash().String()})
			}
		}
		listing.Repositories = append(listing.Repositories, found)
	}
	answer(w, listing)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// log answers contents.LogPath.
func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	repo, err := s.repos.get(query.Get(contents.QueryRepository))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	limit := contents.DefaultLimit
	if text := query.Get(contents.QueryLimit); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLog {
			http.Error(w, fmt.Sprintf("limit %q is no number from 1 to %d", text, maxLog), http.StatusBadRequest)
			return
		}
	}
	if !repo.exists() {
		http.Error(w, errNoRepository.Error()+": "+repo.name, http.StatusNotFound)
		return
	}
	repo.objects.RLock()
	defer repo.objects.RUnlock()
	store := repo.open()
	defer store.Close()
	refs, err := repo.snapshot(store)
	if err != nil {
		s.fail(w, repo, err)
		return
	}
	start, err := refs.find(query.Get(contents.QueryRef))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	commits, err := history(store, start, limit)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		http.Error(w, fmt.Sprintf("%s has no commit %s", repo.name, start), http.StatusNotFound)
	case err != nil:
		s.fail(w, repo, err)
	default:
		answer(w, commits)
	}
}

// find is where a branch, a tag or a commit is that a person names; "" is HEAD.
func (s *snapshot) find(name string) (plumbing.Hash, error) {
	candidates := []plumbing.ReferenceName{plumbing.NewBranchReferenceName(name), plumbing.NewTagReferenceName(name), plumbing.ReferenceName(name)}
	if name == "" {
		candidates = []plumbing.ReferenceName{s.head}
	}
	for _, candidate := range candidates {
		if at := s.of(candidate); !at.IsZero() {
			return at, nil
		}
	}
	if named, err := addHash(nil, name); err == nil {
		return named[0], nil
	}
	if name == "" {
		return plumbing.ZeroHash, fmt.Errorf("nothing was pushed to branch %s yet", s.head.Short())
	}
	return plumbing.ZeroHash, fmt.Errorf("there is no branch, tag or commit %q", name)
}

// history lists commits, the newest first.
func history(store storer.EncodedObjectStorer, start plumbing.Hash, limit int) ([]contents.Commit, error) {
	found, _, err := selection{store: store}.resolve(start)
	if err != nil {
		return nil, err
	}
	first, err := object.GetCommit(store, found.Hash())
	if err != nil {
		return nil, err
	}
	commits := []contents.Commit{}
	err = object.NewCommitIterCTime(first, nil, nil).ForEach(func(commit *object.Commit) error {
		if len(commits) == limit {
			return storer.ErrStop
		}
		files, err := changed(commit)
		if err != nil {
			return err
		}
		commits = append(commits, contents.Commit{
			Hash: commit.Hash.String(), Author: commit.Author.String(), Time: commit.Author.When, Message: commit.Message, Files: files,
		})
		return nil
	})
	return commits, err
}

// changed are the paths in which a commit differs from its first parent.
func changed(commit *object.Commit) ([]string, error) {
	after, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	before := &object.Tree{}
	if len(commit.ParentHashes) > 0 {
		parent, err := commit.Parent(0)
		if err != nil {
			return nil, err
		}
		if before, err = parent.Tree(); err != nil {
			return nil, err
		}
	}
	changes, err := object.DiffTree(before, after)
	if err != nil {
		return nil, err
	}
	paths := []string{}
	for _, change := range changes {
		path := change.To.Name
		if path == "" {
			path = change.From.Name
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
