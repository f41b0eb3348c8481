package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// gitRepository says where a repository keeps what it knows.
type gitRepository struct {
	top    string // of the work tree
	dir    string // with HEAD and the index
	common string // with objects and branches: dir, but for a linked work tree
}

// findRepository finds the git repository in which a folder is; false where there is none.
func findRepository(folder string) (gitRepository, bool) {
	for ; ; folder = filepath.Dir(folder) {
		dot := filepath.Join(folder, ".git")
		if info, err := os.Stat(dot); err == nil {
			if !info.IsDir() {
				dot = pointedAt(dot, "gitdir: ")
			}
			r := gitRepository{top: folder, dir: dot, common: dot}
			if common := pointedAt(filepath.Join(dot, "commondir"), ""); common != "" {
				r.common = common
			}
			return r, true
		}
		if folder == filepath.Dir(folder) {
			return gitRepository{}, false
		}
	}
}

// pointedAt is the path that a file of git holds behind a prefix, "" where there is none.
func pointedAt(file, prefix string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(content), "\n")
	target, found := strings.CutPrefix(line, prefix)
	if target = strings.TrimSpace(target); !found || target == "" {
		return ""
	}
	if target = filepath.FromSlash(target); !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(file), target)
	}
	return target
}

// storage gives access to the repository's objects. Extensions that change how those are kept are refused; the others
// do not matter to who only reads.
func (r gitRepository) storage() (*filesystem.Storage, error) {
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRevision // something named .git that is no repository
	}
	s := filesystem.NewStorage(dotgit.NewRepositoryFilesystem(osfs.New(r.dir), osfs.New(r.common)), cache.NewObjectLRUDefault())
	config, err := s.Config()
	if err != nil {
		return nil, fmt.Errorf("reading the repository's settings: %w", err)
	}
	for name, known := range map[string]string{"objectformat": "sha1", "refstorage": "files"} {
		if value := config.Raw.Section("extensions").Option(name); value != "" && value != known {
			return nil, fmt.Errorf("a git repository with %s %s cannot be read", name, value)
		}
	}
	return s, nil
}

// GitDir is the folder in which git works while it changes the files of the directory: where its index is. It is ""
// where the directory is in no repository.
func (r *Rules) GitDir() string {
	found, ok := findRepository(r.root)
	if !ok {
		return ""
	}
	return found.dir
}
