package gobinary

import (
	"errors"
	"fmt"
	gobuild "go/build"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

// findMain returns the main package to build, as a path that begins with "./": the one that is chosen, or dir itself,
// or the only one below it.
func findMain(src *source, dir, chosen string, target gobuild.Context) (string, error) {
	target.ReadDir = src.readDir
	if chosen != "" {
		chosen = "./" + path.Clean(filepath.ToSlash(chosen))
		if strings.HasPrefix(chosen, "./..") || path.IsAbs(chosen[2:]) {
			return "", fmt.Errorf("the main package %q is not inside %s", chosen[2:], dir)
		}
		if !isMain(filepath.Join(src.dir, chosen), target) {
			return "", fmt.Errorf("%s in %s is not a Go main package", chosen, dir)
		}
		return chosen, nil
	}
	if isMain(src.dir, target) {
		return ".", nil
	}
	found := mainsBelow(src, target)
	switch {
	case len(found) == 0:
		return "", hint.With(fmt.Errorf("%w: %s has no Go main package", build.ErrNothingToBuild, dir),
			"name a directory that holds one, such as examples/hello")
	case len(found) > 1:
		return "", hint.Withf(fmt.Errorf("%s has several main packages: %s", dir, strings.Join(found, ", ")),
			"choose one with --main %s", found[0])
	}
	return found[0], nil
}

// Mains are the main packages of a source, as paths that begin with "./": "." alone, or those below. They are empty
// when the folder is not in a Go module.
func Mains(files *tree.Tree, platform v1.Platform) []string {
	src := newSource(files)
	if !src.inModule() {
		return nil
	}
	target := gobuild.Default
	target.GOOS, target.GOARCH, target.CgoEnabled, target.ReadDir = platform.OS, platform.Architecture, false, src.readDir
	if isMain(src.dir, target) {
		return []string{"."}
	}
	return mainsBelow(src, target)
}

// inModule says whether a go.mod is in the folder, or above it.
func (s *source) inModule() bool {
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// mainsBelow looks into the folders of the source that the go command would look into.
func mainsBelow(src *source, target gobuild.Context) []string {
	var found []string
	for folder := range src.folders {
		if folder != "." && !src.skipped(folder) && isMain(filepath.Join(src.dir, filepath.FromSlash(folder)), target) {
			found = append(found, "./"+folder)
		}
	}
	slices.Sort(found)
	return found
}

// skipped says whether the go command would not look into a folder: a module of its own, or one of the names that it
// passes over, also above.
func (s *source) skipped(folder string) bool {
	for ; folder != "."; folder = path.Dir(folder) {
		name := path.Base(folder)
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || slices.Contains([]string{"testdata", "vendor", "node_modules"}, name) {
			return true
		}
		if s.files[path.Join(folder, "go.mod")] {
			return true
		}
	}
	return false
}

// isMain says whether a folder holds a main package for the target. One whose files do not parse, or that mixes
// packages, counts if any of it says main: the compiler is the one to complain.
func isMain(dir string, target gobuild.Context) bool {
	found, err := target.ImportDir(dir, 0)
	if mixed := (*gobuild.MultiplePackageError)(nil); errors.As(err, &mixed) {
		return slices.Contains(mixed.Packages, "main")
	}
	return found != nil && found.Name == "main" && len(found.GoFiles)+len(found.InvalidGoFiles) > 0
}
