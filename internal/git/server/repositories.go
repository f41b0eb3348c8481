package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"slipway.dev/slipway/internal/git/pack"
)

const (
	suffix = ".git"
	// initialHead is what an empty repository's HEAD points to, until a first push says otherwise.
	initialHead = plumbing.ReferenceName("refs/heads/main")
	// maxSegments is how deep a name may be: host/owner/name fits.
	maxSegments = 4
)

var validSegment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

var errNoRepository = errors.New("repository not found")

// repositories are those of a directory. What is the same for a repository all the time (its locks) is here; what is on
// the disk is opened anew for each request.
type repositories struct {
	root string

	mu    sync.Mutex
	known map[string]*repository
	work  sync.WaitGroup // housekeeping
}

// repository is one of them; it need not exist on the disk.
type repository struct {
	name string // slipway/config
	dir  string

	// objects is held for reading by whoever uses objects that no reference may lead to (a push before it has moved
	// its reference, a fetch that is being sent), and for writing by who removes such.
	objects sync.RWMutex
	// refs is held for reading while references are listed and for writing while they are compared and moved.
	refs sync.RWMutex
}

func newRepositories(root string) *repositories {
	return &repositories{root: root, known: map[string]*repository{}}
}

// get returns the repository of a name as it is in a URL, with or without .git.
func (r *repositories) get(name string) (*repository, error) {
	name, err := parseName(name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.known[name]
	if found == nil {
		found = &repository{name: name, dir: filepath.Join(r.root, filepath.FromSlash(name)+suffix)}
		if !found.exists() {
			return found, nil // not remembered, so that asking for names fills no memory
		}
		r.known[name] = found
	}
	return found, nil
}

// create returns the repository, which is on the disk then. The name must come from a repository.
func (r *repositories) create(name string) (*repository, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.known[name]; found != nil {
		return found, nil
	}
	made := &repository{name: name, dir: filepath.Join(r.root, filepath.FromSlash(name)+suffix)}
	if !made.exists() {
		if err := made.init(); err != nil {
			return nil, fmt.Errorf("creating repository %s: %w", name, err)
		}
	}
	r.known[name] = made
	return made, nil
}

// parseName checks what could leave the root, or be taken for something else in it.
func parseName(name string) (string, error) {
	name = strings.TrimSuffix(strings.Trim(name, "/"), suffix)
	segments := strings.Split(name, "/")
	if len(segments) > maxSegments {
		return "", fmt.Errorf("%q is no name of a repository: it has more than %d parts", name, maxSegments)
	}
	for _, segment := range segments {
		if !validSegment.MatchString(segment) || strings.HasSuffix(segment, suffix) || strings.HasSuffix(segment, ".lock") {
			return "", fmt.Errorf("%q is no name of a repository: use letters, digits, dots, dashes and underscores, and slashes between its parts", name)
		}
	}
	return name, nil
}

// all returns the names of the repositories on the disk, sorted.
func (r *repositories) all() ([]string, error) {
	var names []string
	err := filepath.WalkDir(r.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		relative, err := filepath.Rel(r.root, path)
		if err != nil {
			return err
		}
		if name, err := parseName(filepath.ToSlash(relative)); err == nil {
			names = append(names, name)
		}
		return fs.SkipDir
	})
	slices.Sort(names)
	return names, err
}

// recover removes what a process that was killed has left: packs half received, indexes without their pack, references
// half written, and repositories half made.
func (r *repositories) recover() error {
	names, err := r.all()
	if err != nil {
		return err
	}
	for _, name := range names {
		repo := &repository{name: name, dir: filepath.Join(r.root, filepath.FromSlash(name)+suffix)}
		if err := repo.sweep(); err != nil {
			return fmt.Errorf("cleaning repository %s: %w", name, err)
		}
	}
	made, err := filepath.Glob(filepath.Join(r.root, creating+"*"))
	if err != nil {
		return err
	}
	for _, path := range made {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

func (r *repositories) wait() { r.work.Wait() }

func (r *repository) exists() bool {
	_, err := os.Stat(filepath.Join(r.dir, "HEAD"))
	return err == nil
}

// creating begins the name of a repository that is being made.
const creating = ".creating-"

// init makes the repository beside its place and moves it there, so that it is whole or not there.
func (r *repository) init() error {
	root := strings.TrimSuffix(r.dir, filepath.FromSlash(r.name)+suffix)
	made, err := os.MkdirTemp(root, creating)
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	for _, dir := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(made, filepath.FromSlash(dir)), 0o755); err != nil {
			return err
		}
	}
	// The directory is readable for every git client, also without this server.
	files := map[string]string{"HEAD": "ref: " + initialHead.String() + "\n", "config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(made, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(made, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o755); err != nil {
		return err
	}
	return os.Rename(made, r.dir)
}

// open is the repository on the disk, as it is from now on. One goroutine may use it.
func (r *repository) open() *pack.Repository { return pack.Open(r.dir) }

// sweep removes what a killed push has left. Nothing else may use the repository.
func (r *repository) sweep() error {
	var errs []error
	for _, pattern := range []string{writing + "*", receiving + "*"} {
		left, err := filepath.Glob(filepath.Join(r.dir, pattern))
		errs = append(errs, err)
		for _, path := range left {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	indexes, err := filepath.Glob(filepath.Join(r.dir, "objects", "pack", "*.idx"))
	errs = append(errs, err)
	for _, path := range indexes {
		if _, err := os.Stat(strings.TrimSuffix(path, ".idx") + ".pack"); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
