package repolint

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// calls returns the positions at which a file uses one of the functions of a package of the standard library.
func calls(file *source, pkg string, functions ...string) []string {
	name := ""
	for _, spec := range file.syntax.Imports {
		if imported, _ := strconv.Unquote(spec.Path.Value); imported == pkg {
			name = path.Base(pkg)
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	if name == "" {
		return nil
	}
	var found []string
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && slices.Contains(functions, selector.Sel.Name) {
			if of, ok := selector.X.(*ast.Ident); ok && of.Name == name {
				found = append(found, fmt.Sprintf("%s uses %s.%s", fileSet.Position(node.Pos()), pkg, selector.Sel.Name))
			}
		}
		return true
	})
	return found
}

func TestPackagesAreDocumentedOnce(t *testing.T) {
	documented := map[string][]string{}
	for _, file := range module(t) {
		if file.test {
			continue
		}
		if _, seen := documented[file.dir]; !seen {
			documented[file.dir] = nil
		}
		if file.syntax.Doc != nil && strings.TrimSpace(file.syntax.Doc.Text()) != "" {
			documented[file.dir] = append(documented[file.dir], file.path)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if files := documented[dir]; len(files) != 1 {
			t.Errorf("package %s has %d package comments (%s), want 1: what it is for, and what it is not for", dir, len(files), strings.Join(files, ", "))
		}
	}
}

// Sizes above which a file is more than one idea. Tables of cases may be longer.
const (
	mostLines     = 400
	mostTestLines = 600
)

// longFiles are files that may be longer, with the number of lines that they may have, and why.
var longFiles = map[string]int{}

func TestFilesAreSmall(t *testing.T) {
	for _, file := range module(t) {
		most := mostLines
		if file.test {
			most = mostTestLines
		}
		if exception, found := longFiles[file.path]; found {
			most = exception
		}
		if !file.generated && file.lines > most {
			t.Errorf("%s has %d lines, more than %d: split it by ideas", file.path, file.lines, most)
		}
	}
}

// isProgram says whether a package is a program, which may do what a library may not.
func isProgram(file *source) bool { return file.syntax.Name.Name == "main" }

func TestOnlyProgramsExitAndPrint(t *testing.T) {
	for _, file := range module(t) {
		if file.test || isProgram(file) {
			continue
		}
		found := slices.Concat(calls(file, "os", "Exit"), calls(file, "log", "Fatal", "Fatalf", "Fatalln", "Print", "Printf", "Println", "Panic", "Panicf", "Panicln"))
		if file.dir != "internal/ui" {
			found = slices.Concat(found, calls(file, "fmt", "Print", "Printf", "Println"), calls(file, "os", "Stdout", "Stderr", "Stdin"))
		}
		for _, call := range found {
			t.Errorf("%s: only programs end the process, and only internal/ui writes to the terminal", call)
		}
	}
}

// ownContext are files that make a context, and why they must.
var ownContext = map[string]string{}

func TestContextComesFromMain(t *testing.T) {
	for _, file := range module(t) {
		if isProgram(file) || ownContext[file.path] != "" {
			continue
		}
		advice := "take ctx as the first argument"
		if file.test {
			advice = "tests use t.Context()"
		}
		for _, call := range calls(file, "context", "Background", "TODO") {
			t.Errorf("%s: %s", call, advice)
		}
	}
}

// vague are names that say nothing about what is in a package or a file; vaguePackages only for a package.
var (
	vague         = []string{"util", "utils", "common", "helper", "helpers", "misc"}
	vaguePackages = append([]string{"shared", "types", "globals", "base", "lib"}, vague...)
)

func TestNamesSaySomething(t *testing.T) {
	for _, file := range module(t) {
		if slices.Contains(vaguePackages, path.Base(file.dir)) {
			t.Errorf("package %s is named for nothing: name it for what it is about", file.dir)
		}
		if slices.Contains(vague, strings.TrimSuffix(strings.TrimSuffix(path.Base(file.path), ".go"), "_test")) {
			t.Errorf("%s is named for nothing: name it for its one idea", file.path)
		}
	}
}

func TestGeneratedFilesSaySo(t *testing.T) {
	for _, file := range module(t) {
		if strings.HasPrefix(path.Base(file.path), "zz_generated") && !file.generated {
			t.Errorf("%s has no `// Code generated ... DO NOT EDIT.`", file.path)
		}
	}
}

// A replace would make `go install` of slipway build something else than a checkout does. The recipes under scripts
// build other people's programs, in modules of their own, and may have to repeat their replacements.
func TestModuleReplacesNothing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %s", strings.TrimSpace(line))
		}
	}
}
