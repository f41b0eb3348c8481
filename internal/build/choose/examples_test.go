package choose_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/build/staticsite"
)

// server stands for slipway-static, whose own test runs it: here only the images' digests count.
func server() staticsite.Server {
	return staticsite.Server{Program: "/slipway-static", Architecture: runtime.GOARCH, Layer: func() ([]byte, error) {
		packed, err := layer.Compressed([]layer.File{{Name: "slipway-static", Mode: 0o555}})
		if err != nil {
			return nil, err
		}
		stream, err := packed.Compressed()
		if err != nil {
			return nil, err
		}
		defer stream.Close()
		content := make([]byte, 4096)
		n, err := stream.Read(content)
		return content[:n], err
	}}
}

func buildIn(t *testing.T, b *choose.Builder, dir string) *build.Result {
	t.Helper()
	built, err := b.Build(t.Context(), build.Request{Dir: dir, Name: "app", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// Each example that needs no engine builds, and in a copy elsewhere it has the same digest.
func TestExamples(t *testing.T) {
	for name, evidence := range map[string]int{"hello": 1, "site": 0, "command": 0, "shop/front": 1, "shop/back": 1} {
		t.Run(name, func(t *testing.T) {
			source := filepath.Join("..", "..", "..", "examples", filepath.FromSlash(name))
			elsewhere := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(elsewhere, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			var digests []string
			for _, dir := range []string{source, elsewhere} {
				b := choose.New(choose.Options{Server: server()})
				built := buildIn(t, b, dir)
				digest, err := built.Image.Digest()
				if err != nil {
					t.Fatal(err)
				}
				digests = append(digests, digest.String())
				if len(built.Evidence) != evidence {
					t.Errorf("there are %d documents about it, want %d", len(built.Evidence), evidence)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
			if digests[0] != digests[1] {
				t.Errorf("two copies of it give %s and %s", digests[0], digests[1])
			}
		})
	}
}

// One Builder follows what the folder becomes.
func TestBuilderChanges(t *testing.T) {
	dir := unpack(t, "-- index.html --\n<p>\n")
	b := choose.New(choose.Options{Server: server()})
	defer b.Close()
	var said []string
	r := build.Request{Dir: dir, Name: "app", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, Update: func(what string) { said = append(said, what) }}
	if _, err := b.Build(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"go.mod": "module m\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n",
		"slipway.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: scratch}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if built.Program == nil || built.Program.Path != "/app/app" {
		t.Errorf("the program is %+v", built.Program)
	}
	for _, want := range []string{"builder static: there is index.html", "builder go: slipway.yaml says so"} {
		if !slices.Contains(said, want) {
			t.Errorf("it did not say %q, but %q", want, said)
		}
	}
}

// TestBegin begins with the builder that was used last, as long as that is the right one.
func TestBegin(t *testing.T) {
	dir := unpack(t, "-- index.html --\n<p>\n")
	b := choose.New(choose.Options{Server: server()})
	defer b.Close()
	r := build.Request{Dir: dir, Name: "app", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	begins := func(when string, want bool) {
		t.Helper()
		if got := b.Begins(); got != want {
			t.Errorf("%s: whether it could begin: %t", when, got)
		}
		if got := b.Begin(t.Context(), r) != nil; got != want {
			t.Errorf("%s: whether it began: %t", when, got)
		}
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	make := func() {
		t.Helper()
		if _, err := b.Build(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	begins("before the first build", false)
	make()
	begins("the builder of static sites", false)
	write("go.mod", "module m\n\ngo 1.24\n")
	write("main.go", "package main\n\nfunc main() {}\n")
	write("slipway.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: scratch}}\n")
	begins("another builder from now on", false)
	make()
	begins("the builder of Go programs", true)
	write("slipway.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: scratch, tags: [more]}}\n")
	if b.Begin(t.Context(), r) != nil {
		t.Error("it has begun with settings that are not so any more")
	}
	make()
	begins("with other settings", true)
}
