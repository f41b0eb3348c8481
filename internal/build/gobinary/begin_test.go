package gobinary_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/gobinary"
)

// marked is the request with a mark.
func marked(r build.Request, mark uint64) build.Request {
	r.Mark = mark
	return r
}

func digestOf(t *testing.T, b *gobinary.Builder, r build.Request) v1.Hash {
	t.Helper()
	built, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := built.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func save(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const greet = "package main\n\nfunc main() { println(%q) }\n"

func program(text string) string { return strings.ReplaceAll(greet, "%q", `"`+text+`"`) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// calls counts the calls of `go build` from now on, that begin and that end.
type calls struct{ log string }

func countCalls(t *testing.T) calls {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := calls{log: filepath.Join(dir, "log")}
	script := fmt.Sprintf(`#!/bin/sh
[ "$1" = build ] || exec '%[2]s' "$@"
echo begun >>'%[1]s'
[ ! -e '%[1]s.slow' ] || sleep 60
'%[2]s' "$@" || exit
[ ! -e '%[1]s.late' ] || { echo made >>'%[1]s'; sleep 60; }
echo ended >>'%[1]s'
`, c.log, program)
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return c
}

func (c calls) count(t *testing.T, what string) int {
	t.Helper()
	log, err := os.ReadFile(c.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it has not been called yet
		t.Fatal(err)
	}
	return strings.Count(string(log), what)
}

// slow has the calls that begin from now on take a minute more.
func (c calls) slow(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(c.log+".slow", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// late has the calls from now on take a minute more when the program is there.
func (c calls) late(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(c.log+".late", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// await waits until as many calls have begun, or ended.
func (c calls) await(t *testing.T, what string, count int) {
	t.Helper()
	for limit := time.Now().Add(patience); c.count(t, what) < count; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the go command has %s %d times, want %d", what, c.count(t, what), count)
		}
	}
}

// TestBegin begins builds, and changes what must not be built then: every image is the one that a builder makes that
// begins nothing.
func TestBegin(t *testing.T) {
	tests := []struct {
		name  string
		after func(t *testing.T, dir string, r *build.Request) // Begin
		want  bool                                             // whether Build is to go on with what was begun
	}{
		{"nothing", nil, true},
		{"a save that tells of itself", func(t *testing.T, dir string, r *build.Request) {
			save(t, dir, "main.go", program("other"))
			r.Mark = 0
		}, false},
		{"another mark", func(t *testing.T, dir string, r *build.Request) {
			save(t, dir, "main.go", program("other"))
			r.Mark++
		}, false},
		{"another environment", func(_ *testing.T, _ string, r *build.Request) { r.Env = map[string]string{"GOFLAGS": "-tags=more"} }, false},
		{"another platform", func(_ *testing.T, _ string, r *build.Request) { r.Platform.Architecture = "arm64" }, false},
		{"another file that is ignored", func(t *testing.T, dir string, _ *build.Request) {
			save(t, dir, ".slipwayignore", "more.go\n")
			save(t, dir, "more.go", "package main\n\nfunc init() { println(\"more\") }\n")
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, calls := unpack(t, hello), countCalls(t)
			b := newBuilder(t)
			first := digestOf(t, b, request(dir))
			save(t, dir, "main.go", program("new"))
			r := marked(request(dir), 7)
			b.Begin(t.Context(), r)
			if test.after != nil {
				test.after(t, dir, &r)
			}
			calls.await(t, "begun", 2)
			got := digestOf(t, b, r)
			if wentOn := calls.count(t, "begun") == 2; wentOn != test.want {
				t.Errorf("whether it went on with what was begun: %t", wentOn)
			}
			if want := digestOf(t, newBuilder(t), marked(r, 0)); got != want || got == first {
				t.Errorf("the image is %s, and %s of a builder that began nothing; before it was %s", got, want, first)
			}
		})
	}
}

func TestBeginBeforeTheFirstBuild(t *testing.T) {
	b, calls := newBuilder(t), countCalls(t)
	dir := unpack(t, hello)
	b.Begin(t.Context(), marked(request(dir), 1))
	digestOf(t, b, request(dir))
	if calls.count(t, "begun") != 1 {
		t.Error("it has begun the first build, which may take long")
	}
}

// TestBeginKeepsTheProgram begins a build of which nothing comes: the program before stays what it was.
func TestBeginKeepsTheProgram(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(built.Program.File)
	if err != nil {
		t.Fatal(err)
	}
	save(t, dir, "main.go", program("new"))
	b.Begin(t.Context(), marked(request(dir), 1))
	calls.await(t, "ended", 2)
	after, err := os.ReadFile(built.Program.File)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("what Begin made took the place of what Build had made")
	}
}

// TestBeginLinksWhatChanged saves what is in the program, and what is not, once it is known what is.
func TestBeginLinksWhatChanged(t *testing.T) {
	dir := unpack(t, hello+"-- README.md --\n")
	b := newBuilder(t)
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	learn(t, b)
	for i, test := range []struct {
		name, content string
		want          bool // whether it is the same file after
	}{{"README.md", "text", true}, {"main.go", program("new"), false}, {"README.md", "more", true}} {
		before, err := os.Stat(built.Program.File)
		if err != nil {
			t.Fatal(err)
		}
		save(t, dir, test.name, test.content)
		r := marked(request(dir), uint64(i+1))
		if b.Begin(t.Context(), r) == nil {
			t.Fatalf("%d: nothing was begun", i)
		}
		digestOf(t, b, r)
		after, err := os.Stat(built.Program.File)
		if err != nil {
			t.Fatal(err)
		}
		if same := os.SameFile(before, after); same != test.want {
			t.Errorf("%d: after a save of %s the program is the same file: %t", i, test.name, same)
		}
	}
}

func TestBegunErrors(t *testing.T) {
	dir := unpack(t, hello)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))

	save(t, dir, "main.go", "package main\n\nfunc main() { undefined() }\n")
	r := marked(request(dir), 1)
	b.Begin(t.Context(), r)
	_, err := b.Build(t.Context(), r)
	if wrong, ok := errors.AsType[*build.SourceError](err); !ok || !strings.Contains(wrong.Output, "undefined") {
		t.Errorf("the compiler complains: %v", err)
	}

	save(t, dir, "main.go", program("other"))
	r = marked(request(dir), 2)
	b.Begin(t.Context(), r)
	if again := digestOf(t, b, r); again == first {
		t.Errorf("another source gives %s, too", first)
	}
}

// TestBegunEnds has a go command that takes long, and ends what was begun in each way that there is.
func TestBegunEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *gobinary.Builder, r build.Request, cancel func()){
		"Close": func(t *testing.T, b *gobinary.Builder, _ build.Request, _ func()) {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
		"its context": func(_ *testing.T, _ *gobinary.Builder, _ build.Request, cancel func()) { cancel() },
		"another Begin": func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) {
			r.Mark++
			b.Begin(t.Context(), r)
		},
		"the end of the Build that goes on with it": func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := b.Build(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it returns %v", err)
			}
		},
		"a Build of something impossible": func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) {
			r.Platform.OS = "plan9"
			if _, err := b.Build(t.Context(), r); err == nil {
				t.Error("it builds")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := countCalls(t)
			dir := unpack(t, hello)
			b := newBuilder(t)
			digestOf(t, b, request(dir))
			calls.slow(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := marked(request(dir), 1)
			ended := b.Begin(ctx, r)
			calls.await(t, "begun", 2)
			end(t, b, r, cancel)
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("the go command goes on")
			}
			if calls.count(t, "ended") != 1 {
				t.Error("the go command came to its end")
			}
		})
	}
}

// TestBeginAlone begins nothing where a file that the go command reads could change outside the folder, or unseen in it.
func TestBeginAlone(t *testing.T) {
	const inner = `
-- app/go.mod --
module example.com/hello

go 1.24
%s
-- app/main.go --
package main

import _ "example.com/lib"

func main() {}
-- %s/go.mod --
module example.com/lib

go 1.24
-- %[2]s/lib.go --
package lib
`
	withLib := func(replace, lib, more string) string {
		return fmt.Sprintf(inner, "require example.com/lib v0.0.0\n"+replace, lib) + more
	}
	const work = "-- go.work --\ngo 1.24\n\nuse ./app\n"
	alone := strings.ReplaceAll(hello, "-- ", "-- app/")
	for _, test := range []struct {
		name, source string
		config       appfile.Go
		env          map[string]string
		want         bool
	}{
		{name: "a module", source: alone, want: true},
		{name: "flags that name no file", source: alone, config: appfile.Go{Flags: []string{"-gcflags=-l"}}, want: true},
		{name: "the module is above", source: strings.ReplaceAll(alone, "app/go.mod", "go.mod")},
		{name: "a workspace above", source: alone + work},
		{name: "a workspace that is switched off", source: alone + work, env: map[string]string{"GOWORK": "off"}, want: true},
		{name: "a module beside it", source: withLib("replace example.com/lib => ../lib", "lib", "")},
		{name: "a module in a quoted folder", source: withLib("replace example.com/lib => \"../a lib\" // here", "a lib", "")},
		{name: "a vendored module", source: withLib("", "app/vendor/example.com/lib",
			"-- app/vendor/modules.txt --\n# example.com/lib v0.0.0\n## explicit; go 1.24\nexample.com/lib\n")},
		{name: "a flag that names a file", source: alone, config: appfile.Go{Flags: []string{"-pgo=off"}}},
		{name: "such a flag in the environment", source: alone, env: map[string]string{"GOFLAGS": "-pgo=off"}},
		{name: "flags in slipway.yaml's environment", source: alone, config: appfile.Go{Env: map[string]string{"GOFLAGS": "-v"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			dir := filepath.Join(unpack(t, test.source), "app")
			b := newBuilderOf(t, test.config)
			digestOf(t, b, request(dir))
			if ended := b.Begin(t.Context(), marked(request(dir), 1)); (ended != nil) != test.want {
				t.Errorf("whether it began: %t", ended != nil)
			}
		})
	}
}

// TestBeginWithFlags has the user's settings in what is begun.
func TestBeginWithFlags(t *testing.T) {
	dir := unpack(t, hello+`-- more.go --
//go:build more

package main

func init() { println("more") }
`)
	config := appfile.Go{Tags: []string{"more"}, LDFlags: []string{"-w"}, Flags: []string{"-gcflags=-l"}, Env: map[string]string{"GOGC": "50"}}
	b, calls := newBuilderOf(t, config), countCalls(t)
	digestOf(t, b, request(dir))
	save(t, dir, "main.go", program("new"))
	r := marked(request(dir), 1)
	b.Begin(t.Context(), r)
	got := digestOf(t, b, r)
	if calls.count(t, "begun") != 2 {
		t.Error("it did not go on with what was begun")
	}
	if want := digestOf(t, newBuilderOf(t, config), request(dir)); got != want {
		t.Errorf("the image is %s, and %s of a builder that began nothing", got, want)
	}
}
