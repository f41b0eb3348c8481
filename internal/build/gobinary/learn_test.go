package gobinary_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/gobinary"
)

// learn has the builder learn all that it wants to.
func learn(t *testing.T, b *gobinary.Builder) {
	t.Helper()
	ended := b.Learn(t.Context())
	if ended == nil {
		t.Fatal("there is nothing to learn")
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it takes for ever to learn")
	}
}

const withPackage = hello + `-- text/text.go --
package text

// Of is a text.
func Of() string { return "1" }
`

const usesPackage = "package main\n\nimport \"example.com/hello/text\"\n\nfunc main() { println(%q, text.Of()) }\n"

func usingPackage(text string) string { return fmt.Sprintf(usesPackage, text) }

// TestLearn saves what can be compiled without the go command, and what cannot: each image is that of a builder that
// has learnt nothing.
func TestLearn(t *testing.T) {
	for _, test := range []struct {
		name   string
		config appfile.Go
		saves  []string // of the main package, unless they begin with the name of a file and a colon
		want   int      // calls of go build after the first
	}{
		{"the main package", appfile.Go{}, []string{usingPackage("a"), usingPackage("b"), usingPackage("a")}, 0},
		{"another package", appfile.Go{}, []string{"text/text.go:package text\n\n// Of is a text.\nfunc Of() string { return \"2\" }\n", usingPackage("b")}, 0},
		{"another file", appfile.Go{}, []string{"more.go:package main\n\nfunc init() { println(1) }\n", usingPackage("b"), usingPackage("c")}, 1},
		{"other imports", appfile.Go{}, []string{program("new"), program("newer"), usingPackage("b")}, 2},
		{"a text", appfile.Go{}, []string{"README.md:text", "README.md:more"}, 1}, // the first time it is another file
		{"linker's flags", appfile.Go{LDFlags: []string{"-w", "-X main.version=1"}}, []string{usingPackage("b")}, 0},
		{"tags", appfile.Go{Tags: []string{"more"}}, []string{usingPackage("b"), "more.go://go:build more\n\npackage main\n", usingPackage("c")}, 1},
		{"linker's flags with quotes", appfile.Go{LDFlags: []string{"-X 'main.version=1 2'"}}, []string{usingPackage("b")}, 1},
		{"other flags", appfile.Go{Flags: []string{"-gcflags=-l"}}, []string{usingPackage("b")}, 1},
		{"a platform that is not this one's", appfile.Go{Env: map[string]string{"GOAMD64": "v2"}}, []string{usingPackage("b")}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := unpack(t, withPackage)
			save(t, dir, "main.go", usingPackage("0"))
			calls := countCalls(t)
			b := newBuilderOf(t, test.config)
			digestOf(t, b, request(dir))
			others := 1
			for i, content := range test.saves {
				if ended := b.Learn(t.Context()); ended != nil {
					<-ended
				}
				name := "main.go"
				if file, text, ok := strings.Cut(content, ":"); ok && !strings.ContainsAny(file, " \n") {
					name, content = file, text
				}
				save(t, dir, name, content)
				r := request(dir)
				if i%2 == 1 {
					r = marked(r, uint64(i+1))
					b.Begin(t.Context(), r)
				}
				got := digestOf(t, b, r)
				if want := digestOf(t, newBuilderOf(t, test.config), request(dir)); got != want {
					t.Errorf("after save %d the image is %s, and %s of a builder that has learnt nothing", i, got, want)
				}
				others++ // that builder's
			}
			if count := calls.count(t, "begun") - others; count != test.want {
				t.Errorf("go build was called %d times, want %d", count, test.want)
			}
		})
	}
}

// TestLearntErrors makes a mistake: the go command tells of it, and what was learnt stays.
func TestLearntErrors(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", "package main\n\nfunc main() { undefined() }\n")
	_, err := b.Build(t.Context(), request(dir))
	if wrong, ok := errors.AsType[*build.SourceError](err); !ok || !strings.Contains(wrong.Output, "./main.go:3:15: undefined: undefined") {
		t.Errorf("the compiler complains: %v", err)
	}
	if count := calls.count(t, "begun"); count != 2 {
		t.Errorf("go build was called %d times", count)
	}
	save(t, dir, "main.go", program("new"))
	if digestOf(t, b, request(dir)) == first {
		t.Error("another source gives the same image")
	}
	if count := calls.count(t, "begun"); count != 2 {
		t.Errorf("go build was called %d times when it was mended", count)
	}
}

// TestLearntAndBegun begins what comes to nothing: the next image is of the source, and not of what was begun.
func TestLearntAndBegun(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", program("new"))
	ended := b.Begin(t.Context(), marked(request(dir), 1))
	<-ended
	save(t, dir, "main.go", program("ahoy"))
	if got := digestOf(t, b, request(dir)); got != first {
		t.Errorf("the image is %s, and was %s when the source was the same", got, first)
	}
	save(t, dir, "main.go", program("new"))
	if got := digestOf(t, b, request(dir)); got == first {
		t.Error("another source gives the same image")
	}
	if count := calls.count(t, "begun"); count != 1 {
		t.Errorf("go build was called %d times", count)
	}
}

// TestLearningEnds ends a lesson in each way that there is. There is another one after the next build.
func TestLearningEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *gobinary.Builder, r build.Request, cancel func()){
		"Build":       func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) { digestOf(t, b, r) },
		"Begin":       func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) { b.Begin(t.Context(), marked(r, 1)) },
		"its context": func(_ *testing.T, _ *gobinary.Builder, _ build.Request, cancel func()) { cancel() },
		"Close": func(t *testing.T, b *gobinary.Builder, _ build.Request, _ func()) {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, hello)
			b := newBuilder(t)
			digestOf(t, b, request(dir))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := b.Learn(ctx)
			end(t, b, request(dir), cancel)
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			digestOf(t, b, request(dir))
			learn(t, b)
			save(t, dir, "main.go", program("new"))
			calls := countCalls(t)
			digestOf(t, b, request(dir))
			if count := calls.count(t, "begun"); count != 0 {
				t.Errorf("go build was called %d times", count)
			}
		})
	}
}

// TestLearnLeavesNothing looks for what is left behind, and for what goes on.
func TestLearnLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := unpack(t, hello)
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", program("new"))
	digestOf(t, b, request(dir))
	b.Learn(t.Context())
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
