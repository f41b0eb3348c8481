package watch

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	ignore "github.com/sabhiram/go-gitignore"
)

// Folders that hold no source of the user's, and where much happens.
var foreignFolders = []string{".git", ".hg", ".svn", ".jj", "node_modules", ".idea", ".vscode"}

// Names of the temporary files of editors, as path.Match wants them.
var temporaryFiles = []string{
	"*~", ".*.sw?", ".*.sw??", "4913", // vi
	"#*#", ".#*", // emacs
	"*___jb_tmp___", "*___jb_old___", // JetBrains
	".goutputstream-*", ".~lock.*", "*.tmp", "*.part", ".DS_Store",
	"slipway-diagnose-*", // our own
}

// rules decide which paths are no source. The .gitignore files count as in git, each for the folder in which it is, also
// those above the directory up to the top of its repository; but an exception (!) holds only against rules of the
// same file.
type rules struct {
	root    string
	ignored []string // absolute

	mutex sync.Mutex
	files map[string]*ignore.GitIgnore // by absolute folder; nil where there is none
}

func newRules(root string, ignored []string) *rules {
	r := &rules{root: root, files: map[string]*ignore.GitIgnore{}}
	for _, name := range ignored {
		absolute, err := filepath.Abs(name)
		if err != nil {
			continue
		}
		if resolved, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
			absolute = filepath.Join(resolved, filepath.Base(absolute))
		}
		r.ignored = append(r.ignored, absolute)
	}
	return r
}

// ignores says whether a path, relative to the root and with slashes, is no source, by itself or by a folder above it.
func (r *rules) ignores(name string, folder bool) bool {
	if name == "." {
		return false
	}
	parts := strings.Split(name, "/")
	for i := range parts {
		if r.ignoresOne(strings.Join(parts[:i+1], "/"), folder || i < len(parts)-1) {
			return true
		}
	}
	return false
}

func (r *rules) ignoresOne(name string, folder bool) bool {
	base := path.Base(name)
	if folder && slices.Contains(foreignFolders, base) {
		return true
	}
	for _, pattern := range temporaryFiles {
		if matches, _ := path.Match(pattern, base); matches {
			return true
		}
	}
	absolute := filepath.Join(r.root, filepath.FromSlash(name))
	return slices.Contains(r.ignored, absolute) || r.gitIgnores(absolute, folder)
}

// gitIgnores asks the .gitignore files of all folders above a path, up to the repository's.
func (r *rules) gitIgnores(absolute string, folder bool) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for above := filepath.Dir(absolute); ; above = filepath.Dir(above) {
		if file := r.file(above); file != nil {
			inside, err := filepath.Rel(above, absolute)
			if err == nil {
				inside = filepath.ToSlash(inside)
				if file.MatchesPath(inside) || (folder && file.MatchesPath(inside+"/")) {
					return true
				}
			}
		}
		if above == filepath.Dir(above) || r.top(above) {
			return false
		}
	}
}

// top says whether the search for .gitignore files ends at a folder: at a repository's top, and at the root where it
// is in no repository.
func (r *rules) top(folder string) bool {
	if _, err := os.Stat(filepath.Join(folder, ".git")); err == nil {
		return true
	}
	return folder == r.root && !inRepository(r.root)
}

func inRepository(folder string) bool {
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, ".git")); err == nil {
			return true
		}
		if folder == filepath.Dir(folder) {
			return false
		}
	}
}

func (r *rules) file(folder string) *ignore.GitIgnore {
	file, known := r.files[folder]
	if !known {
		file, _ = ignore.CompileIgnoreFile(filepath.Join(folder, ".gitignore")) // unreadable is as if it were not there
		r.files[folder] = file
	}
	return file
}

// forget makes the rules read .gitignore files anew.
func (r *rules) forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	clear(r.files)
}
