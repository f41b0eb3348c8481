package direct

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
