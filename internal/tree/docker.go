package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// DockerContext is the tree without what .dockerignore leaves out, with Docker's syntax and meaning. dockerfile is the
// Dockerfile's name in the tree, with slashes; a file of that name with .dockerignore behind it wins over the one at the
// top, as in BuildKit. The Dockerfile and the ignore file are never left out.
func (t *Tree) DockerContext(dockerfile string) (*Tree, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		content, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what Docker is not to see: %w", err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		return t.without(matcher, dockerfile, name)
	}
	return t, nil
}

func (t *Tree) without(matcher *patternmatcher.PatternMatcher, kept ...string) (*Tree, error) {
	out := &Tree{root: t.root, rules: t.rules, Odd: t.Odd}
	for _, f := range t.Files {
		ignored, err := matcher.MatchesOrParentMatches(filepath.FromSlash(f.Name))
		if err != nil {
			return nil, fmt.Errorf("applying .dockerignore to %s: %w", f.Name, err)
		}
		if !ignored || slices.Contains(kept, f.Name) {
			out.Files = append(out.Files, f)
		}
	}
	return out, nil
}
