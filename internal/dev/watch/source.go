package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// awayScan is how often it is looked whether a directory that went away is back.
const awayScan = 250 * time.Millisecond

// source tells which paths were touched: by the system's events, or, once those cannot be had, by looking.
type source struct {
	watched *watched
	options Options

	mutex   sync.Mutex        // folders are watched from two goroutines
	events  *fsnotify.Watcher // nil when there are none
	folders map[string]bool   // that are watched, by full path
	broken  error             // why there are no events, or should be none any more; nil while all is well

	looks  bool            // whether changes are found by looking
	before map[string]seen // what the last look found
}

func newSource(w *watched, o Options) *source {
	return &source{watched: w, options: o, folders: map[string]bool{}}
}

// begin asks the system for events, or has a first look. What the events are to be about, watchAll says.
func (s *source) begin() error {
	if !s.looks {
		watcher, err := fsnotify.NewWatcher()
		if err == nil {
			s.mutex.Lock()
			s.events, s.broken = watcher, nil
			s.mutex.Unlock()
			return nil
		}
		s.lookInstead(err)
	}
	_, err := s.look()
	return err
}

// giveUp goes over to looking when events cannot be had any more.
func (s *source) giveUp() bool {
	s.mutex.Lock()
	reason := s.broken
	s.mutex.Unlock()
	if reason == nil {
		return false
	}
	s.lookInstead(reason)
	return true
}

// lookInstead gives up on events.
func (s *source) lookInstead(reason error) {
	s.close()
	if s.looks {
		return
	}
	s.looks = true
	s.options.Warn(fmt.Sprintf("the system cannot tell of changes below %s (%v); looking every %s instead", s.watched.root, reason, s.options.Scan) + remedy(reason))
}

func (s *source) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.events != nil {
		_ = s.events.Close()
		s.events = nil
	}
	clear(s.folders)
}

// watchAll watches all folders of the source, and those of the files that count beside it, and lists the files of the
// source. It is safe to call while run is under way.
func (s *source) watchAll() ([]string, error) {
	for _, names := range []map[string]bool{s.watched.also, s.watched.above} {
		for name := range names {
			s.watch(filepath.Dir(s.watched.path(name)))
		}
	}
	return s.watchBelow(".")
}

// watchBelow watches a folder of the source and those in it, and lists the files in them.
func (s *source) watchBelow(from string) ([]string, error) {
	var files []string
	err := s.watched.rules.Walk(from, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() {
			s.watch(s.watched.path(name))
		} else {
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// watch watches one folder. That it is not there is no error: its own folder tells when it comes.
func (s *source) watch(folder string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.events == nil || s.folders[folder] || s.broken != nil {
		return
	}
	err := s.events.Add(folder)
	switch {
	case err == nil:
		s.folders[folder] = true
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
		s.broken = err
	}
}

// forget stops watching a folder that was removed or has another name now, and those in it: the system would go on to
// tell of them by their old names.
func (s *source) forget(folder string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.events == nil || !s.folders[folder] {
		return
	}
	for other := range s.folders {
		if other == folder || strings.HasPrefix(other, folder+string(filepath.Separator)) {
			_ = s.events.Remove(other) // which it has done itself, if the folder is gone
			delete(s.folders, other)
		}
	}
}

// run sends touched paths until ctx ends. What comes while nobody takes it is sent together.
func (s *source) run(ctx context.Context, touched chan<- []string) {
	for ctx.Err() == nil {
		if s.looks {
			s.scan(ctx, touched)
		} else {
			s.listen(ctx, touched)
		}
	}
}

// listen is run as long as there are events.
func (s *source) listen(ctx context.Context, touched chan<- []string) {
	pending := map[string]bool{}
	for !s.giveUp() && s.events != nil {
		var out chan<- []string
		if len(pending) > 0 {
			out = touched
		}
		select {
		case <-ctx.Done():
			return
		case out <- slices.Collect(maps.Keys(pending)):
			clear(pending)
		case event, ok := <-s.events.Events:
			if !ok {
				return
			}
			for _, name := range s.touchedBy(ctx, event) {
				pending[name] = true
			}
		case err, ok := <-s.events.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				s.lookInstead(err)
			}
			pending[everything] = true // events were lost: any file may have changed or be gone, and folders may be new
		}
	}
	if s.looks {
		send(ctx, touched, []string{everything})
	}
}

func send(ctx context.Context, touched chan<- []string, names []string) {
	if len(names) == 0 {
		return
	}
	select {
	case touched <- names:
	case <-ctx.Done():
	}
}

// touchedBy returns the paths that an event speaks of. A folder that is new is watched from now on, and the files that
// came with it count as touched.
func (s *source) touchedBy(ctx context.Context, event fsnotify.Event) []string {
	name, err := s.watched.nameOf(event.Name)
	if err != nil {
		return nil
	}
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		s.forget(event.Name)
		if name == "." {
			s.await(ctx)
			return []string{everything}
		}
	}
	info, err := os.Lstat(event.Name)
	folder := err == nil && info.IsDir()
	switch {
	case name == ".":
		return nil
	case !folder && s.watched.above[name]:
		return []string{name}
	case !s.watched.isSource(name, folder):
		return nil
	case !folder:
		return []string{name}
	case !event.Has(fsnotify.Create):
		return nil
	}
	files, err := s.watchBelow(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []string{everything}
	}
	return files
}

// await waits until the directory, which went away, is there, and watches it anew.
func (s *source) await(ctx context.Context) {
	s.close()
	said := false
	for ctx.Err() == nil {
		if info, err := os.Stat(s.watched.root); err == nil && info.IsDir() {
			if err := s.begin(); err == nil {
				_, _ = s.watchAll() // what cannot be read is found when everything is looked at
				return
			}
		}
		if !said {
			said = true
			s.options.Warn(s.watched.root + " is gone; waiting for it to come back")
		}
		sleep(ctx, awayScan)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
