package direct

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestProofEnds ends a proof after the package that is to be proven was compiled, by a compiler that makes something else of
// it: nothing is linked with that.
func TestProofEnds(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	write := func(name, content string) {
		t.Helper()
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
			slices.Sort(names)
		}
	}
	imports, calls := "", ""
	for i := range mostCompiled {
		imports += fmt.Sprintf("import \"example.com/many/p%d\"\n", i)
		calls += fmt.Sprintf("p%d.Do()\n", i)
		write(fmt.Sprintf("p%d/p.go", i), fmt.Sprintf("package p%d\n\nfunc Do() { println(%d) }\n", i, i))
	}
	write("go.mod", "module example.com/many\n\ngo 1.24\n")
	write("main.go", "package main\n"+imports+"func main() {\n"+calls+"}\n")
	q := Query{
		Go: "go", Dir: dir, Main: ".", Flags: []string{"-trimpath", "-buildvcs=false", "-ldflags=-buildid="}, LDFlags: []string{"-buildid="},
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "PWD="+dir), Scratch: filepath.Join(t.TempDir(), "plan"),
	}
	program := filepath.Join(t.TempDir(), "program")
	build := func() {
		t.Helper()
		cmd := exec.Command("go", slices.Concat([]string{"build"}, q.Flags, []string{"-o", program, "."})...)
		cmd.Dir, cmd.Env = dir, q.Env
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, output)
		}
	}
	build()
	p, err := Learn(t.Context(), q, names, program)
	if err != nil {
		t.Fatal(err)
	}
	write("p7/p.go", "package p7\n\nfunc Do() { println(77) }\n")
	build()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	compiler := p.tools.compile
	p.tools.compile = filepath.Join(t.TempDir(), "compile")
	ended := filepath.Join(t.TempDir(), "ended")
	script := fmt.Sprintf("#!/bin/sh\n[ ! -e %[1]s ] || exec sleep 60\nsed -i s/77/666/ p.go\n: >%[1]s\nexec %[2]s \"$@\"\n", ended, compiler)
	if err := os.WriteFile(p.tools.compile, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	go func() { // until there is an archive of the first package; the compiler hangs when it is called for the second
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if len(p.made(t)) > 0 {
				cancel()
			}
		}
	}()
	if err := p.Prove(ctx, names, program); err == nil {
		t.Fatal("it is proven")
	}
	p.tools.compile = compiler
	if _, err := p.Make(t.Context(), names, filepath.Join(t.TempDir(), "made"), ""); !errors.Is(err, ErrUnproven) {
		t.Errorf("it says %v", err)
	}
	write("main.go", "package main\n"+imports+"func main() {\n"+calls+"println(1)\n}\n")
	if _, err := p.Make(t.Context(), names, filepath.Join(t.TempDir(), "made"), ""); !errors.Is(err, ErrUnproven) {
		t.Errorf("after another save it says %v", err)
	}

	write("p7/p.go", "package p7\n\nfunc Do() { println(78) }\n") // that compiler has changed the plan's own copy
	build()
	if err := p.Prove(t.Context(), names, program); err != nil {
		t.Fatal(err)
	}
	p.tools.link = filepath.Join(t.TempDir(), "none")
	if state, err := p.Make(t.Context(), names, filepath.Join(t.TempDir(), "made"), ""); err == nil || state != "" {
		t.Errorf("what is not linked has the state %q (%v)", state, err)
	}
}

// made are the archives that the plan has made, but for main's.
func (p *Plan) made(t *testing.T) []string {
	found, err := filepath.Glob(p.scratch("*.a"))
	if err != nil {
		t.Error(err)
	}
	return slices.DeleteFunc(found, func(name string) bool { return name == p.scratch(fmt.Sprintf("%d.a", len(p.packages)-1)) })
}

// TestHalfWritten has no room for a file of the mirror: it counts as another one until it is there.
func TestHalfWritten(t *testing.T) {
	p := &Plan{query: Query{Scratch: t.TempDir()}, files: map[string]known{}}
	if err := p.write(change{"a", []byte("old"), known{sum: sum{1}}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(p.mirrored("a")), os.Symlink("/dev/full", p.mirrored("a"))); err != nil {
		t.Fatal(err)
	}
	if err := p.write(change{"a", []byte("new"), known{sum: sum{2}}}); err == nil {
		t.Skip("there is room in /dev/full")
	}
	if p.files["a"].sum != (sum{}) {
		t.Error("it counts as what it was before")
	}
}

func TestArchivesThatTellNothing(t *testing.T) {
	entry := func(name string, size int, content string) string {
		return fmt.Sprintf("!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", name, 0, 0, 0, 0o644, size, content)
	}
	const good = "go object linux amd64 go1.26\nbuild id \"a\"\n\n$$B\nexported\n$$\n"
	for name, content := range map[string]string{
		"nothing":          "",
		"no archive":       strings.Repeat("text\n", 40),
		"another entry":    entry("_go_.o", len(good), good),
		"a cut one":        entry("__.PKGDEF", len(good)+1, good),
		"no exports in it": entry("__.PKGDEF", 4, "text"),
		"a bad size":       strings.Replace(entry("__.PKGDEF", len(good), good), fmt.Sprint(len(good)), "x", 1),
	} {
		file := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := exportOf(file); !errors.Is(err, errNoExport) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := filepath.Join(t.TempDir(), "archive")
	var sums []sum
	for _, content := range []string{good, strings.Replace(good, `"a"`, `"b"`, 1), strings.Replace(good, "exported", "other", 1)} {
		if err := os.WriteFile(same, []byte(entry("__.PKGDEF", len(content), content)), 0o600); err != nil {
			t.Fatal(err)
		}
		is, err := exportOf(same)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, is)
	}
	if sums[0] != sums[1] || sums[0] == sums[2] {
		t.Error("the build ID makes a difference, or what is exported does not")
	}
}
