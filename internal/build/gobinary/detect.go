package gobinary

import (
	"errors"
	"fmt"
	gobuild "go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
)

// findMain returns the main package to build, as a path that begins with "./": the one that is chosen, or dir itself,
// or the only one below it.
func findMain(dir, chosen string, target gobuild.Context) (string, error) {
	if chosen != "" {
		chosen = "./" + path.Clean(filepath.ToSlash(chosen))
		if strings.HasPrefix(chosen, "./..") || path.IsAbs(chosen[2:]) {
			return "", fmt.Errorf("the main package %q is not inside %s", chosen[2:], dir)
		}
		if !isMain(filepath.Join(dir, chosen), target) {
			return "", fmt.Errorf("%s in %s is not a Go main package", chosen, dir)
		}
		return chosen, nil
	}
	if isMain(dir, target) {
		return ".", nil
	}
	found, err := mainsBelow(dir, target)
	switch {
	case err != nil:
		return "", fmt.Errorf("looking for a Go main package: %w", err)
	case len(found) == 0:
		return "", hint.With(fmt.Errorf("%w: %s has no Go main package", build.ErrNothingToBuild, dir),
			"name a directory that holds one, such as examples/hello")
	case len(found) > 1:
		return "", hint.Withf(fmt.Errorf("%s has several main packages: %s", dir, strings.Join(found, ", ")),
			"choose one with --main %s", found[0])
	}
	return found[0], nil
}

func mainsBelow(dir string, target gobuild.Context) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || name == dir {
			return err
		}
		if skipped(name, entry.Name()) {
			return fs.SkipDir
		}
		if isMain(name, target) {
			inside, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			found = append(found, "./"+filepath.ToSlash(inside))
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// skipped says whether the go command would not look into a folder either: a module of its own, or one of the names
// that it passes over.
func skipped(dir, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || slices.Contains([]string{"testdata", "vendor", "node_modules"}, name) {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
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
