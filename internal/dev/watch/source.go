package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// source tells which paths were touched: by the system's events, or, once those cannot be had, by looking.
type source struct {
	root    string
	rules   *rules
	options Options
	events  *fsnotify.Watcher // nil when there are none
}

// newSource watches all folders. Where the system refuses, for its limits or because it cannot, it looks instead.
func newSource(root string, r *rules, o Options) (*source, error) {
	s := &source{root: root, rules: r, options: o}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.lookInstead(err)
		return s, nil
	}
	s.events = watcher
	if _, err := s.addFolders(root); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			s.close()
			return nil, err
		}
		s.lookInstead(err)
	}
	return s, nil
}

// lookInstead gives up on events.
func (s *source) lookInstead(reason error) {
	s.close()
	s.options.Warn(fmt.Sprintf("the system cannot tell of changes below %s (%v); looking every %s instead. On Linux, "+
		"`sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512` raises the limits", s.root, reason, s.options.Scan))
}

func (s *source) close() {
	if s.events != nil {
		_ = s.events.Close()
		s.events = nil
	}
}

// addFolders watches a folder and those below it, and returns the files in them.
func (s *source) addFolders(from string) ([]string, error) {
	if _, err := os.Lstat(from); err != nil {
		return nil, err
	}
	var files []string
	err := walkBelow(s.root, from, s.rules, func(name string, entry fs.DirEntry) error {
		if !entry.IsDir() {
			files = append(files, name)
			return nil
		}
		err := s.events.Add(filepath.Join(s.root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) && name != "." {
			return nil
		}
		return err
	})
	return files, err
}

// run sends touched paths until ctx ends.
func (s *source) run(ctx context.Context, touched chan<- []string) {
	send := func(paths []string) {
		if len(paths) == 0 {
			return
		}
		select {
		case touched <- paths:
		case <-ctx.Done():
		}
	}
	var known map[string]string
	for s.events != nil {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-s.events.Events:
			if !ok {
				return
			}
			send(s.touchedBy(event))
		case err, ok := <-s.events.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				s.lookInstead(err)
				break
			}
			// Events were lost: any file may have changed or be gone, and folders may be new.
			files, err := s.addFolders(s.root)
			if err != nil {
				s.lookInstead(err)
			}
			send(append(files, "."))
		}
	}
	for ctx.Err() == nil {
		var paths []string
		paths, known = s.look(known)
		send(paths)
		select {
		case <-ctx.Done():
		case <-time.After(s.options.Scan):
		}
	}
}

// touchedBy returns the paths that an event speaks of. A folder that is new is watched from now on, and the files that
// came with it count as touched.
func (s *source) touchedBy(event fsnotify.Event) []string {
	inside, err := filepath.Rel(s.root, event.Name)
	if err != nil {
		return nil
	}
	name := filepath.ToSlash(inside)
	info, err := os.Lstat(event.Name)
	folder := err == nil && info.IsDir()
	if name == "." || s.rules.ignores(name, folder) {
		return nil
	}
	if !folder {
		return []string{name}
	}
	if !event.Has(fsnotify.Create) {
		return nil
	}
	files, err := s.addFolders(event.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.lookInstead(err)
	}
	return files
}

// look compares size and time of all files with what they were; the first look finds everything touched, since some of
// it may have changed before.
func (s *source) look(before map[string]string) (touched []string, now map[string]string) {
	now = map[string]string{}
	if before == nil {
		touched = append(touched, ".") // some may be gone
	}
	err := walkSource(s.root, s.rules, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // it disappeared, which the next look tells of
		}
		now[name] = fmt.Sprint(info.Size(), info.ModTime().UnixNano(), info.Mode())
		if now[name] != before[name] {
			touched = append(touched, name)
		}
		return nil
	})
	if err != nil {
		return nil, before // the next look tells
	}
	for name := range before {
		if _, there := now[name]; !there {
			touched = append(touched, name)
		}
	}
	return touched, now
}
