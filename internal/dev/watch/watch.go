// Package watch turns what happens to the files of a source directory into batches of changes. It knows which files
// are not source and whether a file's content really changed; what to do about a batch is its caller's business.
package watch

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// DefaultQuiet is how long a directory must be quiet before its changes become a batch.
const DefaultQuiet = 150 * time.Millisecond

// DefaultScan is how often the files are looked at where the system cannot tell of changes.
const DefaultScan = time.Second

// Batch is a set of changes that belong together.
type Batch struct {
	// Files are the paths, relative to the directory, with slashes and sorted, of what was written, made or removed.
	Files []string
}

// Options of Watch. The zero value is good.
type Options struct {
	Quiet time.Duration // 0 means DefaultQuiet
	Scan  time.Duration // 0 means DefaultScan
	// Ignore are further files and folders, as paths, in which changes do not count.
	Ignore []string
	// Warn is told, once, when changes are found by looking instead of being told; nil is allowed.
	Warn func(string)
}

// Watch returns the changes below dir from now on. A save that leaves a file's content as it was is no change, and
// what is in .git, in folders of dependencies, in editors' temporary files or named by .gitignore does not count.
// Changes that nobody takes off the channel are gathered into the next batch. The channel is closed when ctx ends.
func Watch(ctx context.Context, dir string, o Options) (<-chan Batch, error) {
	if o.Quiet == 0 {
		o.Quiet = DefaultQuiet
	}
	if o.Scan == 0 {
		o.Scan = DefaultScan
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	if resolved, err := filepath.EvalSymlinks(root); err == nil {
		root = resolved
	}
	rules := newRules(root, o.Ignore)
	source, err := newSource(root, rules, o)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	// The events come first and the content after, so that nothing that is saved in between is lost.
	content, err := newSnapshot(root, rules)
	if err != nil {
		source.close()
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	touched := make(chan []string)
	go func() {
		defer close(touched)
		defer source.close()
		source.run(ctx, touched)
	}()
	batches := make(chan Batch)
	go gather(ctx, touched, batches, o.Quiet, content.changed)
	return batches, nil
}
