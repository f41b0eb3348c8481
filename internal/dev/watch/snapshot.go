package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// largeFile is the size from which a file is told apart by size and time, since reading it on every save takes long.
const largeFile = 64 << 20

// snapshot knows the content of all source files, by hash. It is used by one goroutine.
type snapshot struct {
	root  string
	rules *rules
	files map[string]string // path to what tells its content apart
}

func newSnapshot(root string, r *rules) (*snapshot, error) {
	s := &snapshot{root: root, rules: r, files: map[string]string{}}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, errors.New("it is not a directory")
	}
	return s, walkSource(root, r, func(name string, entry fs.DirEntry) error {
		if !entry.IsDir() {
			s.files[name] = s.mark(name)
		}
		return nil
	})
}

// changed returns those of the touched paths whose content is not what it was, and remembers what it is now. A path that
// is or was a folder stands for the files that were known in it; "." for all.
func (s *snapshot) changed(touched []string) []string {
	var changed []string
	look := func(name string) {
		before, known := s.files[name]
		now := s.mark(name)
		switch {
		case now == "" && known:
			delete(s.files, name)
		case now != "" && now != before:
			s.files[name] = now
		default:
			return
		}
		changed = append(changed, name)
	}
	for _, name := range touched {
		if path.Base(name) == ".gitignore" {
			s.rules.forget()
		}
	}
	for _, name := range touched {
		if s.rules.ignores(name, false) {
			continue
		}
		look(name)
		for known := range s.files {
			if name == "." || strings.HasPrefix(known, name+"/") {
				look(known)
			}
		}
	}
	return changed
}

// mark tells the content of a file apart from others, by type, permission to execute and content; "" means that there
// is no file.
func (s *snapshot) mark(name string) string {
	full := filepath.Join(s.root, filepath.FromSlash(name))
	info, err := os.Stat(full)
	if err != nil || !info.Mode().IsRegular() {
		if target, err := os.Readlink(full); err == nil {
			return "link " + target
		}
		return ""
	}
	executable := info.Mode()&0o111 != 0
	if info.Size() >= largeFile {
		return fmt.Sprint("large ", executable, info.Size(), info.ModTime().UnixNano())
	}
	file, err := os.Open(full)
	if err != nil {
		return "unreadable"
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "unreadable"
	}
	return fmt.Sprint(executable, " ", string(hash.Sum(nil)))
}

// walkSource visits every folder and file that counts, by its path relative to root, root itself as ".". What
// disappears meanwhile is passed over.
func walkSource(root string, r *rules, visit func(name string, entry fs.DirEntry) error) error {
	return walkBelow(root, root, r, visit)
}

func walkBelow(root, from string, r *rules, visit func(name string, entry fs.DirEntry) error) error {
	return filepath.WalkDir(from, func(full string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(inside)
		if r.ignores(name, entry.IsDir()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return visit(name, entry)
	})
}
