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

	"slipway.dev/slipway/internal/tree"
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

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, filepath.FromSlash(from)), filepath.Join(dir, filepath.FromSlash(to))); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// next returns the paths of all batches up to the one with which all awaited ones have come.
func next(t *testing.T, batches <-chan Batch, awaited ...string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	limit := time.After(patience)
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

// one returns the next batch.
func one(t *testing.T, batches <-chan Batch) []string {
	t.Helper()
	select {
	case batch, ok := <-batches:
		if !ok {
			t.Fatal("the channel was closed")
		}
		return batch.Files
	case <-time.After(patience):
		t.Fatal("there is no batch")
		return nil
	}
}

// Ways in which changes are found: the kind of the file system decides.
const (
	byEvents  = ""
	byLooking = "nfs"
)

// start is Watch with the way of finding changes chosen. It ends with the test.
func start(t *testing.T, dir, way string, o Options) <-chan Batch {
	t.Helper()
	o.Scan = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	batches, err := watch(ctx, dir, o, func(string) string { return way })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range batches {
		}
	})
	return batches
}

func inBothWays(t *testing.T, test func(t *testing.T, way string)) {
	t.Helper()
	t.Run("events", func(t *testing.T) { test(t, byEvents) })
	t.Run("looking", func(t *testing.T) { test(t, byLooking) })
}

func TestWatch(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, dir string)
		want []string // beside z, which is written last
	}{
		{"a change", func(t *testing.T, dir string) { write(t, dir, "a.go", "2") }, []string{"a.go"}},
		{"the same content", func(t *testing.T, dir string) { write(t, dir, "a.go", "1") }, nil},
		{"a change and back", func(t *testing.T, dir string) { write(t, dir, "a.go", "2"); write(t, dir, "a.go", "1") }, nil},
		{"a new folder with a file", func(t *testing.T, dir string) { write(t, dir, "new/deep/c.go", "1") }, []string{"new/deep/c.go"}},
		{"a removed folder", func(t *testing.T, dir string) { remove(t, dir, "sub") }, []string{"sub/b.go", "sub/.gitignore"}},
		{"a renamed folder", func(t *testing.T, dir string) { rename(t, dir, "sub", "other") }, []string{"sub/b.go", "sub/.gitignore", "other/b.go", "other/.gitignore"}},
		{"a save by renaming", func(t *testing.T, dir string) {
			write(t, dir, "a.go~", "3")
			rename(t, dir, "a.go~", "a.go")
		}, []string{"a.go"}},
		{"a permission to execute", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "a.go"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"a.go"}},
		{"what does not count", func(t *testing.T, dir string) {
			for _, name := range []string{".git/index", "node_modules/x/i.js", ".a.go.swp", "4913", "bin/app", "sub/out.log", "report.xml"} {
				write(t, dir, name, "new")
			}
		}, nil},
		{"an exception", func(t *testing.T, dir string) { write(t, dir, "sub/kept.log", "new") }, []string{"sub/kept.log"}},
		{"a link", func(t *testing.T, dir string) {
			if err := os.Symlink("a.go", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
		}, []string{"link"}},
		{"files that become source", func(t *testing.T, dir string) { write(t, dir, ".gitignore", "") }, []string{".gitignore", "bin/old"}},
		{"files that are source no more", func(t *testing.T, dir string) { write(t, dir, ".slipwayignore", "/sub/\n") }, []string{".slipwayignore", "sub/b.go", "sub/.gitignore"}},
	}
	inBothWays(t, func(t *testing.T, way string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, "a.go", "1")
				write(t, dir, "sub/b.go", "1")
				write(t, dir, ".gitignore", "/bin/\n")
				write(t, dir, "bin/old", "1")
				write(t, dir, "sub/.gitignore", "*.log\n!kept.log\n")
				write(t, dir, "z", "1")
				batches := start(t, dir, way, Options{Ignore: []string{filepath.Join(dir, "report.xml")}})
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
	})
}

// TestSaveIsOneBatch saves as editors do.
func TestSaveIsOneBatch(t *testing.T) {
	saves := map[string]func(t *testing.T, dir string){
		"in place": func(t *testing.T, dir string) { write(t, dir, "a.go", "new") },
		"vi": func(t *testing.T, dir string) {
			write(t, dir, "4913", "")
			remove(t, dir, "4913")
			rename(t, dir, "a.go", "a.go~")
			write(t, dir, "a.go", "new")
			if err := os.Chmod(filepath.Join(dir, "a.go"), 0o640); err != nil {
				t.Fatal(err)
			}
			remove(t, dir, "a.go~")
		},
		"another file, renamed": func(t *testing.T, dir string) {
			write(t, dir, "a.go.12345.tmp", "new")
			if err := os.Chmod(filepath.Join(dir, "a.go.12345.tmp"), 0o640); err != nil {
				t.Fatal(err)
			}
			rename(t, dir, "a.go.12345.tmp", "a.go")
		},
		"another file of a name like any, renamed": func(t *testing.T, dir string) {
			write(t, dir, "sed4Xb2", "new")
			rename(t, dir, "sed4Xb2", "a.go")
		},
	}
	for name, save := range saves {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a.go", "old")
			batches := start(t, dir, byEvents, Options{})
			save(t, dir)
			if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
				t.Errorf("batch (-want +got):\n%s", diff)
			}
			write(t, dir, "z", "1")
			if diff := cmp.Diff([]string{"z"}, one(t, batches)); diff != "" {
				t.Errorf("the save was more than one batch (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFoldersThatMoved has folders change names, after which events must tell of the new ones.
func TestFoldersThatMoved(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "sub/deep/a.go", "1")
	batches := start(t, dir, byEvents, Options{})
	rename(t, dir, "sub", "other")
	next(t, batches, "sub/deep/a.go", "other/deep/a.go")
	write(t, dir, "sub/deep/b.go", "1")
	next(t, batches, "sub/deep/b.go")
	for i, name := range []string{"other/deep/a.go", "sub/deep/b.go", "other/deep/a.go", "sub/deep/b.go"} {
		write(t, dir, name, "change "+string(rune('0'+i)))
		if diff := cmp.Diff([]string{name}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
	}
}

// TestAlso has files outside of the directory, and ignored ones, that count.
func TestAlso(t *testing.T) {
	inBothWays(t, func(t *testing.T, way string) {
		dir := t.TempDir()
		write(t, dir, "app/a.go", "1")
		write(t, dir, "app/.gitignore", "local.yaml\n")
		write(t, dir, "deploy/workload.yaml", "1")
		batches := start(t, filepath.Join(dir, "app"), way, Options{Also: []string{
			filepath.Join(dir, "deploy/workload.yaml"), filepath.Join(dir, "slipway.yaml"), filepath.Join(dir, "app/local.yaml"), filepath.Join(dir, "app/a.go"),
		}})
		write(t, dir, "deploy/other.yaml", "1")
		write(t, dir, "deploy/workload.yaml", "2")
		if diff := cmp.Diff([]string{"../deploy/workload.yaml"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		for _, name := range []string{"../slipway.yaml", "local.yaml", "a.go", "../deploy/workload.yaml"} {
			write(t, filepath.Join(dir, "app"), name, "3")
			if diff := cmp.Diff([]string{name}, one(t, batches)); diff != "" {
				t.Errorf("batch (-want +got):\n%s", diff)
			}
		}
	})
}

// TestRulesAbove has an ignore file above the directory change.
func TestRulesAbove(t *testing.T) {
	inBothWays(t, func(t *testing.T, way string) {
		dir := t.TempDir()
		write(t, dir, ".git/HEAD", "")
		write(t, dir, "app/a.go", "1")
		write(t, dir, "app/out/b.go", "1")
		batches := start(t, filepath.Join(dir, "app"), way, Options{})
		write(t, dir, ".gitignore", "/app/out\n")
		if diff := cmp.Diff([]string{"out/b.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		write(t, dir, "app/out/b.go", "2")
		write(t, dir, "app/a.go", "2")
		if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		remove(t, dir, ".gitignore")
		if diff := cmp.Diff([]string{"out/b.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		write(t, dir, "app/out/b.go", "3")
		if diff := cmp.Diff([]string{"out/b.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
	})
}

// TestDirectoryComesBack takes the directory away, for a while, and puts others in its place.
func TestDirectoryComesBack(t *testing.T) {
	inBothWays(t, func(t *testing.T, way string) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "app")
		write(t, dir, "a.go", "1")
		write(t, dir, "sub/b.go", "1")
		said := make(chan string, 10)
		batches := start(t, dir, way, Options{Warn: func(text string) { said <- text }})
		if way == byLooking {
			<-said
		}
		remove(t, parent, "app")
		<-said // that it is gone
		write(t, dir, "a.go", "2")
		write(t, dir, "sub/b.go", "1")
		if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		write(t, dir, "sub/b.go", "2")
		next(t, batches, "sub/b.go")

		rename(t, parent, "app", "old")
		<-said
		rename(t, parent, "old", "app")
		write(t, dir, "sub/new/c.go", "1")
		if diff := cmp.Diff([]string{"sub/new/c.go"}, one(t, batches)); diff != "" {
			t.Errorf("batch (-want +got):\n%s", diff)
		}
		write(t, dir, "sub/new/c.go", "2")
		next(t, batches, "sub/new/c.go")
	})
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
	batches := start(t, dir, byLooking, Options{Warn: func(string) { said++ }})
	write(t, dir, "a", "1")
	next(t, batches, "a")
	write(t, dir, "a", "2")
	next(t, batches, "a")
	if said != 1 {
		t.Errorf("it was said %d times, want once", said)
	}
}

// TestWatchExpects saves a real file: it is told of before its batch, with the batch's mark.
func TestWatchExpects(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "1")
	expected := make(chan uint64, 10)
	batches, err := Watch(t.Context(), dir, Options{Quiet: time.Second, Expect: func(mark uint64) { expected <- mark }})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a", "2")
	limit := time.After(patience)
	var mark uint64
	select {
	case mark = <-expected:
	case <-limit:
		t.Fatal("nothing was expected")
	}
	select {
	case batch := <-batches:
		if diff := cmp.Diff(Batch{Files: []string{"a"}, Mark: mark}, batch); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	case <-limit:
		t.Fatal("there is no batch")
	}
}

// TestContentTellsOfNews asks for what it was told of, and for what it was not.
func TestContentTellsOfNews(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "1")
	write(t, dir, "in/b", "1")
	rules, err := tree.NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{rules: rules, root: rules.Root()}
	if err := w.name(nil); err != nil {
		t.Fatal(err)
	}
	c, err := newContent(w, func() ([]string, error) { return []string{"a", "in/b"}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, touched := range []string{"a", "in", everything} {
		if c.update([]string{touched}) {
			t.Errorf("%s: nothing has changed, and it tells of news", touched)
		}
		write(t, dir, "a", "for "+touched)
		write(t, dir, "in/b", "for "+touched)
		if !c.update([]string{touched}) {
			t.Errorf("%s: it tells of no news", touched)
		}
		c.update([]string{everything})
	}
}
