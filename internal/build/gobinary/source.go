package gobinary

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"slipway.dev/slipway/internal/tree"
)

// source is the file set that is compiled. What lies in the folder beside it (files that git ignores, say) is hidden
// from the go command with an overlay, so that the program is of the source alone.
type source struct {
	dir     string   // without symbolic links, as the go command sees it
	names   []string // of the files, sorted
	files   map[string]bool
	folders map[string]bool // that hold a source file, at any depth; "." is the top
}

func newSource(t *tree.Tree) *source {
	s := &source{dir: t.Root(), files: map[string]bool{}, folders: map[string]bool{".": true}}
	for _, f := range t.Files {
		s.names = append(s.names, f.Name)
		s.files[f.Name] = true
		for parent := path.Dir(f.Name); !s.folders[parent]; parent = path.Dir(parent) {
			s.folders[parent] = true
		}
	}
	return s
}

// inside is a path in the source, with slashes.
func (s *source) inside(name string) (string, bool) {
	inside, err := filepath.Rel(s.dir, name)
	return filepath.ToSlash(inside), err == nil && filepath.IsLocal(inside)
}

// readDir lists the source in a folder; it is for go/build.
func (s *source) readDir(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	folder, within := s.inside(dir)
	var infos []fs.FileInfo
	for _, entry := range entries {
		if within && !entry.IsDir() && !s.files[path.Join(folder, entry.Name())] {
			continue
		}
		if info, err := entry.Info(); err == nil {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// hidden are the paths of what is in the folder and not source. Version control and vendored modules are not counted:
// the go command looks at the former not at all, and checks the latter against go.mod.
func (s *source) hidden() ([]string, error) {
	var names []string
	var look func(folder string) error
	look = func(folder string) error {
		entries, err := os.ReadDir(filepath.Join(s.dir, filepath.FromSlash(folder)))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			name := path.Join(folder, entry.Name())
			switch {
			case name == "vendor" || entry.Name() == ".git":
			case entry.IsDir() && s.folders[name]:
				if err := look(name); err != nil {
					return err
				}
			case !s.files[name]:
				names = append(names, filepath.Join(s.dir, filepath.FromSlash(name)))
			}
		}
		return nil
	}
	return names, look(".")
}

// overlay is what hides the rest of the folder from the go command; nil when there is nothing to hide.
func (s *source) overlay() ([]byte, error) {
	hidden, err := s.hidden()
	if err != nil {
		return nil, fmt.Errorf("looking for what is not source: %w", err)
	}
	if len(hidden) == 0 {
		return nil, nil
	}
	replace := make(map[string]string, len(hidden))
	for _, name := range hidden {
		replace[name] = ""
	}
	return json.Marshal(map[string]any{"Replace": replace})
}
