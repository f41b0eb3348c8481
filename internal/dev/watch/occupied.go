package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// staleLock is after how long without any change a lock is one that was left behind.
	staleLock = 5 * time.Second
	// betweenSteps is the longest time between two steps of an operation of git that has not stopped for its user.
	betweenSteps = time.Second
)

// Files that are in git's folder while git changes others, and while it is in an operation of several steps. Those of
// the second kind stay while git waits for its user to mend a conflict.
var (
	locks      = []string{"index.lock", "HEAD.lock"}
	operations = []string{"rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"}
)

// occupied knows whether the files are in the middle of something.
type occupied struct{ watched *watched }

// now says whether the directory is away, or git is at work. idle is how long nothing has happened.
func (o occupied) now(idle time.Duration) bool {
	if _, err := os.Stat(o.watched.root); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	git := o.watched.rules.GitDir()
	if git == "" {
		return false
	}
	for _, name := range locks {
		if _, err := os.Lstat(filepath.Join(git, name)); err == nil && idle < staleLock {
			return true
		}
	}
	for _, name := range operations {
		if _, err := os.Lstat(filepath.Join(git, name)); err == nil && workedIn(betweenSteps, git, filepath.Join(git, name)) {
			return true
		}
	}
	return false
}

// workedIn says whether a file was made, renamed or removed in one of the folders lately.
func workedIn(lately time.Duration, folders ...string) bool {
	for _, folder := range folders {
		if info, err := os.Lstat(folder); err == nil && time.Since(info.ModTime()) < lately {
			return true
		}
	}
	return false
}
