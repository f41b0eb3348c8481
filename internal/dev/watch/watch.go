// Package watch turns what happens to the files of a source directory into batches of changes: it knows when a file's
// content really changed and when a burst of changes, or what git is doing, has come to an end. Which files are source is
// package tree's to say, and what to do about a batch its caller's.
package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slipway.dev/slipway/internal/tree"
)

// DefaultScan is how often the files are looked at where the system cannot tell of changes.
const DefaultScan = time.Second

// Batch is a set of changes that belong together.
type Batch struct {
	// Files are the paths, relative to the directory, with slashes and sorted, of what was written, made or removed since
	// the batch before. Those of Options.Also begin with "../" where they are elsewhere.
	Files []string
	// Mark is the one with which Options.Expect was told of this batch, nothing having been touched since; 0 for one that
	// it was not told of.
	Mark uint64
}

// Options of Watch. The zero value is good.
type Options struct {
	// Quiet is how long it must be quiet after the save of a single file; a burst, and saves in quick succession, take up
	// to ten times that. 0 means DefaultQuiet.
	Quiet time.Duration
	Scan  time.Duration // 0 means DefaultScan
	// Ignore are further files and folders, as paths, in which changes do not count.
	Ignore []string
	// Also are files, as paths, whose changes count wherever they are, whether they are there yet or not.
	Also []string
	// Expect is told that a single save seems to be over, and its Batch to come once it has been quiet, with the mark that
	// the batch then has; the next save has another one. It must return at once. nil is allowed.
	Expect func(mark uint64)
	// Warn is told when changes are found by looking instead of being told, once, and when the directory has gone away;
	// nil is allowed. It is called from goroutines of Watch, one at a time.
	Warn func(string)
}

// Watch returns the changes below dir from now on. A save that leaves a file's content as it was in the batch before is
// no change. A directory that goes away is waited for. Changes that nobody takes off the channel are gathered into the
// next batch. The channel is closed when ctx ends, and then nothing of Watch is left.
func Watch(ctx context.Context, dir string, o Options) (<-chan Batch, error) {
	batches, err := watch(ctx, dir, o, networkFileSystem)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	return batches, nil
}

// watch is Watch; remote names the kind of file system on which the system's events tell nothing of what other machines
// do, and is "" for all others.
func watch(ctx context.Context, dir string, o Options, remote func(string) string) (<-chan Batch, error) {
	if o.Quiet == 0 {
		o.Quiet = DefaultQuiet
	}
	if o.Scan == 0 {
		o.Scan = DefaultScan
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Expect == nil {
		o.Expect = func(uint64) {}
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, errors.New("it is not a directory")
	}
	rules, err := tree.NewRules(dir, o.Ignore...)
	if err != nil {
		return nil, err
	}
	w := &watched{rules: rules, root: rules.Root()}
	if err := w.name(o.Also); err != nil {
		return nil, err
	}
	source := newSource(w, o)
	if kind := remote(w.root); kind != "" {
		source.lookInstead(fmt.Errorf("it is on %s", kind))
	}
	// The events come first and the content after, so that nothing that is saved in between is lost.
	if err := source.begin(); err != nil {
		source.close()
		return nil, err
	}
	content, err := newContent(w, source.watchAll)
	if err != nil {
		source.close()
		return nil, err
	}
	source.giveUp()
	touched, batches := make(chan []string), make(chan Batch)
	go func() {
		defer close(touched)
		defer source.close()
		source.run(ctx, touched)
	}()
	go gather(ctx, touched, batches, o, content, occupied{w}.now)
	return batches, nil
}

// watched is what is watched: the source by its rules, and single files.
type watched struct {
	rules *tree.Rules
	root  string
	also  map[string]bool // names of further files that count
	above map[string]bool // names of ignore files above the root: they count for what they say
}

// name gives the files that are outside the source their names: the way to them from the root.
func (w *watched) name(also []string) error {
	w.also, w.above = map[string]bool{}, map[string]bool{}
	for _, file := range also {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if resolved, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
			absolute = filepath.Join(resolved, filepath.Base(absolute))
		}
		name, err := w.nameOf(absolute)
		if err != nil {
			return err
		}
		w.also[name] = true
	}
	for _, file := range w.rules.IgnoreFilesAbove() {
		name, err := w.nameOf(file)
		if err != nil {
			return err
		}
		w.above[name] = true
	}
	return nil
}

func (w *watched) nameOf(absolute string) (string, error) {
	inside, err := filepath.Rel(w.root, absolute)
	return filepath.ToSlash(inside), err
}

func (w *watched) path(name string) string { return filepath.Join(w.root, filepath.FromSlash(name)) }

// isSource says whether a change of the path can be one of a batch.
func (w *watched) isSource(name string, folder bool) bool {
	if !folder && w.also[name] {
		return true
	}
	return filepath.IsLocal(filepath.FromSlash(name)) && !w.rules.Ignores(name, folder)
}

// changesRules says whether the path is an ignore file.
func (w *watched) changesRules(name string) bool {
	return w.above[name] || (tree.IsIgnoreFile(name) && filepath.IsLocal(filepath.FromSlash(name)))
}
