package watch

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// next returns the paths of all batches up to the one with which all awaited ones have come.
func next(t *testing.T, batches <-chan Batch, awaited ...string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	limit := time.After(20 * time.Second)
	for {
		missing := slices.DeleteFunc(slices.Clone(awaited), func(name string) bool { return seen[name] })
		if len(missing) == 0 {
			return seen
		}
		select {
		case batch, ok := <-batches:
			if !ok {
				t.Fatal("the channel was closed")
			}
			for _, file := range batch.Files {
				seen[file] = true
			}
		case <-limit:
			t.Fatalf("no batch has %v; so far %v", missing, seen)
		}
	}
}

// waysToWatch are both ways in which changes are found.
var waysToWatch = map[string]func(*source){
	"events": func(*source) {},
	"looks":  func(s *source) { s.lookInstead(os.ErrPermission) },
}

// start is Watch with the way of finding changes chosen.
func start(t *testing.T, dir string, way func(*source), o Options) <-chan Batch {
	t.Helper()
	o.Quiet, o.Scan = 20*time.Millisecond, 20*time.Millisecond
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	r := newRules(dir, o.Ignore)
	s, err := newSource(dir, r, o)
	if err != nil {
		t.Fatal(err)
	}
	way(s)
	content, err := newSnapshot(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	touched, batches := make(chan []string), make(chan Batch)
	go func() { defer close(touched); defer s.close(); s.run(ctx, touched) }()
	go gather(ctx, touched, batches, o.Quiet, content.changed)
	t.Cleanup(func() {
		cancel()
		for range batches {
		}
	})
	return batches
}

func TestWatch(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, dir string)
		want []string // beside z, which is written last
	}{
		{"a change", func(t *testing.T, dir string) { write(t, dir, "a.go", "2") }, []string{"a.go"}},
		{"the same content", func(t *testing.T, dir string) { write(t, dir, "a.go", "1") }, nil},
		{"a new folder with a file", func(t *testing.T, dir string) { write(t, dir, "new/deep/c.go", "1") }, []string{"new/deep/c.go"}},
		{"a removed folder", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
				t.Fatal(err)
			}
		}, []string{"sub/b.go", "sub/.gitignore"}},
		{"a save by renaming", func(t *testing.T, dir string) {
			write(t, dir, "a.go~", "3")
			if err := os.Rename(filepath.Join(dir, "a.go~"), filepath.Join(dir, "a.go")); err != nil {
				t.Fatal(err)
			}
		}, []string{"a.go"}},
		{"what does not count", func(t *testing.T, dir string) {
			for _, name := range []string{".git/index", "node_modules/x/i.js", ".a.go.swp", "4913", "bin/app", "sub/out.log", "report.xml"} {
				write(t, dir, name, "new")
			}
		}, nil},
		{"an exception", func(t *testing.T, dir string) { write(t, dir, "sub/kept.log", "new") }, []string{"sub/kept.log"}},
	}
	for way, choose := range waysToWatch {
		for _, test := range tests {
			t.Run(way+"/"+test.name, func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, "a.go", "1")
				write(t, dir, "sub/b.go", "1")
				write(t, dir, ".gitignore", "/bin/\n")
				write(t, dir, "sub/.gitignore", "*.log\n!kept.log\n")
				write(t, dir, "z", "1")
				batches := start(t, dir, choose, Options{Ignore: []string{filepath.Join(dir, "report.xml")}})
				test.do(t, dir)
				write(t, dir, "z", "2")
				want := map[string]bool{"z": true}
				for _, file := range test.want {
					want[file] = true
				}
				got := next(t, batches, slices.Collect(maps.Keys(want))...)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestNewFoldersAreWatched(t *testing.T) {
	dir := t.TempDir()
	batches := start(t, dir, waysToWatch["events"], Options{})
	write(t, dir, "new/c.go", "1")
	next(t, batches, "new/c.go")
	write(t, dir, "new/c.go", "2")
	next(t, batches, "new/c.go")
}

func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	batches, err := Watch(ctx, t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if batch, open := <-batches; open {
		t.Errorf("got %v after the end", batch)
	}
}

func TestWatchWhatIsNotThere(t *testing.T) {
	if _, err := Watch(t.Context(), filepath.Join(t.TempDir(), "none"), Options{}); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}

func TestLookInsteadIsSaidOnce(t *testing.T) {
	said := 0
	dir := t.TempDir()
	batches := start(t, dir, waysToWatch["looks"], Options{Warn: func(string) { said++ }})
	write(t, dir, "a", "1")
	next(t, batches, "a")
	write(t, dir, "a", "2")
	next(t, batches, "a")
	if said != 1 {
		t.Errorf("it was said %d times, want once", said)
	}
}
