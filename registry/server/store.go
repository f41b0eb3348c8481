package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// store reads distribution's storage straight from its directory: the library tells neither when something was pushed nor
// how large it is. The layout is version 2 of distribution's registry/storage/paths.go: blobs by digest, and in each
// repository small files, links, that hold the digests of what belongs to it.
type store struct {
	root      string   // .../docker/registry/v2
	manifests sync.Map // digest -> *manifest; what a digest names does not change
}

func newStore(root string) *store {
	return &store{root: filepath.Join(root, "docker", "registry", "v2")}
}

const algorithm = "sha256"

// revision is a manifest in a repository.
type revision struct {
	digest string
	pushed time.Time // last
}

// blobInfo is a blob on the disk.
type blobInfo struct {
	size    int64
	written time.Time
}

// hexOf is the name of a digest's directory; false for what is no digest of the only algorithm that is in use.
func hexOf(digest string) (string, bool) {
	name, found := strings.CutPrefix(digest, algorithm+":")
	if !found || len(name) != 64 || strings.Trim(name, "0123456789abcdef") != "" {
		return "", false
	}
	return name, true
}

func (s *store) blobDir(digest string) string {
	name, ok := hexOf(digest)
	if !ok {
		return filepath.Join(s.root, "blobs", "none")
	}
	return filepath.Join(s.root, "blobs", algorithm, name[:2], name)
}

func (s *store) repositoryDir(repository string) string {
	return filepath.Join(s.root, "repositories", filepath.FromSlash(repository))
}

func (s *store) revisionDir(repository, digest string) string {
	name, _ := hexOf(digest)
	return filepath.Join(s.repositoryDir(repository), "_manifests", "revisions", algorithm, name)
}

func (s *store) tagDir(repository, tag string) string {
	return filepath.Join(s.repositoryDir(repository), "_manifests", "tags", tag)
}

func (s *store) layerLinkDir(repository, digest string) string {
	name, _ := hexOf(digest)
	return filepath.Join(s.repositoryDir(repository), "_layers", algorithm, name)
}

// repositories returns the names of all repositories that ever had a manifest, sorted.
func (s *store) repositories() ([]string, error) { return s.repositoriesWith("_manifests") }

// repositoriesWith returns the names of all repositories that have a part, such as _layers.
func (s *store) repositoriesWith(part string) ([]string, error) {
	top := filepath.Join(s.root, "repositories")
	var found []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case strings.HasPrefix(entry.Name(), "_"): // a part of a repository: no name of one begins so
			if entry.Name() == part {
				name, err := filepath.Rel(top, filepath.Dir(path))
				if err != nil {
					return err
				}
				found = append(found, filepath.ToSlash(name))
			}
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the repositories: %w", err)
	}
	slices.Sort(found)
	return found, nil
}

// revisions returns the manifests of a repository, those that were deleted left out.
func (s *store) revisions(repository string) ([]revision, error) {
	entries, err := readDir(filepath.Join(s.repositoryDir(repository), "_manifests", "revisions", algorithm))
	if err != nil {
		return nil, fmt.Errorf("listing the manifests of %s: %w", repository, err)
	}
	var found []revision
	for _, entry := range entries {
		link, err := os.Stat(filepath.Join(s.revisionDir(repository, algorithm+":"+entry.Name()), "link"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing the manifests of %s: %w", repository, err)
		}
		found = append(found, revision{digest: algorithm + ":" + entry.Name(), pushed: link.ModTime()})
	}
	return found, nil
}

// tags returns what each tag of a repository means.
func (s *store) tags(repository string) (map[string]string, error) {
	entries, err := readDir(filepath.Join(s.repositoryDir(repository), "_manifests", "tags"))
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repository, err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		digest, err := os.ReadFile(filepath.Join(s.tagDir(repository, entry.Name()), "current", "link"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a tag of %s: %w", repository, err)
		}
		found[entry.Name()] = strings.TrimSpace(string(digest))
	}
	return found, nil
}

// blobs returns all blobs.
func (s *store) blobs() (map[string]blobInfo, error) {
	found := map[string]blobInfo{}
	err := filepath.WalkDir(filepath.Join(s.root, "blobs", algorithm), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // none yet, or gone while we looked
		}
		if err != nil || entry.Name() != "data" {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found[algorithm+":"+filepath.Base(filepath.Dir(path))] = blobInfo{size: info.Size(), written: info.ModTime()}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the blobs: %w", err)
	}
	return found, nil
}

// layerLinks returns the digests of the blobs that a repository may serve.
func (s *store) layerLinks(repository string) ([]string, error) {
	entries, err := readDir(filepath.Join(s.repositoryDir(repository), "_layers", algorithm))
	if err != nil {
		return nil, fmt.Errorf("listing the layers of %s: %w", repository, err)
	}
	found := make([]string, 0, len(entries))
	for _, entry := range entries {
		found = append(found, algorithm+":"+entry.Name())
	}
	return found, nil
}

// readDir is os.ReadDir for a directory that may not be there.
func readDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}
