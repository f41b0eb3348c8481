package tree

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Names of the files that say what is no source, those that win first.
const (
	slipwayIgnore = ".slipwayignore"
	gitIgnore     = ".gitignore"
)

var ignoreFiles = []string{slipwayIgnore, gitIgnore}

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

// Rules decide which paths below a directory are its source. It is safe for concurrent use.
//
// The first of these that says something about a path decides: .git is never source, nor are the paths named to
// NewRules; .slipwayignore; .gitignore; the names of other version control, of folders of dependencies and of editors'
// files. Both kinds of ignore file have git's syntax and count as in git: each for the folder in which it is, the
// deepest first, also those above the directory up to the top of its repository; nothing in a folder that is no source
// can be. What a user alone has told git, in .git/info/exclude or in a global file, does not count, since a tree must be
// the same for everyone; and whether git tracks a path does not either.
type Rules struct {
	root   string
	top    string // where the ignore files begin: the repository's top, or root
	below  string // the way from top to root, with slashes; "" when they are one
	beside []string

	mutex sync.Mutex
	files map[string][]pattern // by the file's path below top; nil where there is none
}

// NewRules returns the rules of a directory; ignored are further files and folders, as paths, that are no source. The
// ignore files are read when they are asked for.
func NewRules(dir string, ignored ...string) (*Rules, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", dir, err)
	}
	if resolved, err := filepath.EvalSymlinks(root); err == nil {
		root = resolved
	}
	r := &Rules{root: root, top: root, files: map[string][]pattern{}}
	for _, name := range ignored {
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, fmt.Errorf("finding %s: %w", name, err)
		}
		if resolved, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
			absolute = filepath.Join(resolved, filepath.Base(absolute))
		}
		if inside, err := filepath.Rel(root, absolute); err == nil && filepath.IsLocal(inside) {
			r.beside = append(r.beside, filepath.ToSlash(inside))
		}
	}
	r.findTop()
	return r, nil
}

// findTop finds the repository in which root is. Where that ignores root, root stands for itself.
func (r *Rules) findTop() {
	repository, found := findRepository(r.root)
	if !found || repository.top == r.root {
		return
	}
	below, err := filepath.Rel(repository.top, r.root)
	if err != nil {
		return
	}
	outer := &Rules{root: repository.top, top: repository.top, files: map[string][]pattern{}}
	if !outer.Ignores(filepath.ToSlash(below), true) {
		r.top, r.below = repository.top, filepath.ToSlash(below)
	}
}

// Root is the directory, absolute and without symbolic links.
func (r *Rules) Root() string { return r.root }

// Ignores says whether a path, relative to the root and with slashes, is no source, by itself or by a folder above it.
func (r *Rules) Ignores(name string, folder bool) bool {
	if name == "." {
		return false
	}
	for i := range len(name) {
		if name[i] == '/' && r.ignoresOne(name[:i], true) {
			return true
		}
	}
	return r.ignoresOne(name, folder)
}

// ignoresOne is Ignores for a path in a folder that is known to be source.
func (r *Rules) ignoresOne(name string, folder bool) bool {
	base := path.Base(name)
	if base == ".git" || slices.Contains(r.beside, name) {
		return true
	}
	full := path.Join(r.below, name)
	for _, kind := range ignoreFiles {
		if ignored, decided := r.ask(kind, full, folder); decided {
			return ignored
		}
	}
	if folder && slices.Contains(foreignFolders, base) {
		return true
	}
	for _, pattern := range temporaryFiles {
		if matches, _ := path.Match(pattern, base); matches {
			return true
		}
	}
	return false
}

// ask lets the files of one kind decide about a path below top.
func (r *Rules) ask(kind, full string, folder bool) (ignored, decided bool) {
	for above := path.Dir(full); ; above = path.Dir(above) {
		inside := full
		if above != "." {
			inside = full[len(above)+1:]
		}
		for _, p := range slices.Backward(r.patterns(path.Join(above, kind))) {
			if p.matches(inside, folder) {
				return !p.negated, true
			}
		}
		if above == "." {
			return false, false
		}
	}
}

// patterns reads an ignore file, once. One that is not there, or cannot be read, says nothing; nor does one that is a
// symbolic link, as in git.
func (r *Rules) patterns(name string) []pattern {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	patterns, known := r.files[name]
	if known {
		return patterns
	}
	full := filepath.Join(r.top, filepath.FromSlash(name))
	if info, err := os.Lstat(full); err == nil && info.Mode().IsRegular() {
		if content, err := os.ReadFile(full); err == nil {
			patterns = parsePatterns(string(content))
		}
	}
	r.files[name] = patterns
	return patterns
}

// Reread makes the rules read the ignore files anew.
func (r *Rules) Reread() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	clear(r.files)
}

// IsIgnoreFile says whether a change of the path changes rules.
func IsIgnoreFile(name string) bool { return slices.Contains(ignoreFiles, path.Base(name)) }

// IgnoreFilesAbove are the paths, absolute, of the ignore files that count here and are not below the root, whether they
// are there or not.
func (r *Rules) IgnoreFilesAbove() []string {
	var files []string
	folder := r.top
	for part := range strings.SplitSeq(r.below, "/") {
		if part == "" {
			break
		}
		for _, kind := range ignoreFiles {
			files = append(files, filepath.Join(folder, kind))
		}
		folder = filepath.Join(folder, part)
	}
	return files
}
