package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"
)

// grain is the coarsest time that a file system keeps (2 seconds, of FAT): a file that was written so lately may have
// been written again since, and its time does not tell.
const grain = 2 * time.Second

// seen is what a look sees of a file.
type seen struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
	mark     string // of its content, as long as a later change may not show in its time; "" then on
}

// scan is run without events.
func (s *source) scan(ctx context.Context, touched chan<- []string) {
	gone := false
	for {
		sleep(ctx, s.options.Scan)
		if ctx.Err() != nil {
			return
		}
		names, err := s.look()
		if err != nil && !gone {
			s.options.Warn(s.watched.root + " is gone; waiting for it to come back")
		}
		gone = err != nil
		send(ctx, touched, names)
	}
}

// look compares size and time of all files with what they were at the last look. Its first result is of no use. It is an
// error when the directory is not there.
func (s *source) look() (touched []string, err error) {
	if _, err := os.Stat(s.watched.root); err != nil {
		return nil, err
	}
	start, now := time.Now(), map[string]seen{}
	note := func(name string, info fs.FileInfo) {
		one := seen{size: info.Size(), modified: info.ModTime(), mode: info.Mode()}
		before, known := s.before[name]
		settled := start.Sub(one.modified) > grain
		if !settled || before.mark != "" {
			one.mark = fingerprint(s.watched.path(name))
		}
		if !known || one != before {
			touched = append(touched, name)
		}
		if settled {
			one.mark = ""
		}
		now[name] = one
	}
	err = s.watched.rules.Walk(".", func(name string, entry fs.DirEntry) error {
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			note(name, info)
		}
		return nil // what disappeared is told of below
	})
	if err != nil {
		return []string{everything}, nil //nolint:nilerr // part of it could not be read, which the hashes will show
	}
	for _, names := range []map[string]bool{s.watched.also, s.watched.above} {
		for name := range names {
			if info, err := os.Lstat(s.watched.path(name)); err == nil {
				note(name, info)
			}
		}
	}
	for name := range s.before {
		if _, there := now[name]; !there {
			touched = append(touched, name)
		}
	}
	s.before = now
	return touched, nil
}

// remedy is what helps against a limit of the system.
func remedy(reason error) string {
	if runtime.GOOS == "linux" && (errors.Is(reason, syscall.ENOSPC) || errors.Is(reason, syscall.EMFILE)) {
		return fmt.Sprintf(". `sysctl fs.inotify.max_user_watches=%d fs.inotify.max_user_instances=%d` raises the limits", 524288, 512)
	}
	return ""
}
