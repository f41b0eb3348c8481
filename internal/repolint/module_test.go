package repolint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "slipway.dev/slipway"

// source is one Go file of the module.
type source struct {
	path      string // relative to the module's root, with slashes
	dir       string // the same of its folder, which is how the tests call a package
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
	text      string
}

// imports are the import paths of the file; those of the module without the module's path.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.syntax.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, strings.TrimPrefix(imported, modulePath+"/"))
		}
	}
	return paths
}

var fileSet = token.NewFileSet()

// load reads all Go files of the module once; nested modules and what git ignores are no part of it.
var load = sync.OnceValues(func() ([]*source, error) {
	root := filepath.Join("..", "..")
	var sources []*source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			if slices.Contains([]string{".git", "bin", "out", "embedded/upstream"}, name) || entry.Name() == "testdata" || (name != "." && nested == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(fileSet, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, &source{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax),
			lines: strings.Count(string(text), "\n"), syntax: syntax, text: string(text),
		})
		return nil
	})
	return sources, err
})

func module(t *testing.T) []*source {
	t.Helper()
	sources, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("no Go files found: the test looks in the wrong place")
	}
	return sources
}

// covers says whether a pattern of the law covers a package: it is the same, or below a pattern that ends in "/...".
func covers(pattern, dir string) bool {
	if parent, found := strings.CutSuffix(pattern, "/..."); found {
		return dir == parent || strings.HasPrefix(dir, parent+"/")
	}
	return pattern == dir
}

func coveredBy(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, dir) })
}
