package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository makes one with a commit on the branch main.
func repository(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	runGit(t, dir, "init", "-q", "-b", "main")
	write(t, dir, "a.go", "1")
	write(t, dir, "app/b.go", "1")
	write(t, dir, "app/run.sh", "1")
	write(t, dir, ".gitignore", "*.log\n")
	if err := os.Symlink("b.go", filepath.Join(dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir)
	return dir
}

func commit(t testing.TB, dir string) string {
	t.Helper()
	runGit(t, dir, "add", "-A")
	runGit(t, dir, "commit", "-q", "-m", "message")
	return strings.TrimSpace(runGit(t, dir, "rev-parse", "HEAD"))
}

func revision(t testing.TB, dir string) Revision {
	t.Helper()
	got, err := read(t, dir).Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRevision(t *testing.T) {
	dir := repository(t)
	runGit(t, dir, "remote", "add", "origin", "https://someone:password@example.com/x.git")
	hash := strings.TrimSpace(runGit(t, dir, "rev-parse", "HEAD"))
	want := Revision{Branch: "main", Commit: hash, Origin: "https://example.com/x.git"}
	if diff := cmp.Diff(want, revision(t, filepath.Join(dir, "app"))); diff != "" {
		t.Errorf("revision (-want +got):\n%s", diff)
	}
	if got, want := revision(t, dir).String(), "main@sha1:"+hash; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	runGit(t, dir, "checkout", "-q", "-b", "feature/one")
	if got, want := revision(t, dir).String(), "feature/one@sha1:"+hash; got != want {
		t.Errorf("on a branch: got %s, want %s", got, want)
	}
	runGit(t, dir, "pack-refs", "--all")
	runGit(t, dir, "gc", "-q")
	if got, want := revision(t, dir).String(), "feature/one@sha1:"+hash; got != want {
		t.Errorf("packed: got %s, want %s", got, want)
	}
	runGit(t, dir, "checkout", "-q", "--detach")
	if got, want := revision(t, dir).String(), "sha1:"+hash; got != want {
		t.Errorf("detached: got %s, want %s", got, want)
	}
}

func TestDirty(t *testing.T) {
	tests := []struct {
		name  string
		do    func(t *testing.T, dir string)
		dirty bool
	}{
		{"nothing", func(*testing.T, string) {}, false},
		{"a change", func(t *testing.T, dir string) { write(t, dir, "app/b.go", "2") }, true},
		{"a change that is staged", func(t *testing.T, dir string) { write(t, dir, "app/b.go", "2"); runGit(t, dir, "add", "-A") }, true},
		{"a change and back", func(t *testing.T, dir string) { write(t, dir, "app/b.go", "2"); write(t, dir, "app/b.go", "1") }, false},
		{"a change at the time of the index", func(t *testing.T, dir string) {
			index, err := os.Stat(filepath.Join(dir, ".git/index"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "app/b.go", "2")
			if err := os.Chtimes(filepath.Join(dir, "app/b.go"), time.Time{}, index.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"elsewhere in the repository", func(t *testing.T, dir string) { write(t, dir, "a.go", "2") }, false},
		{"a new file", func(t *testing.T, dir string) { write(t, dir, "app/new.go", "2") }, true},
		{"a new file that is ignored", func(t *testing.T, dir string) { write(t, dir, "app/new.log", "2") }, false},
		{"a file less", func(t *testing.T, dir string) { remove(t, dir, "app/b.go") }, true},
		{"a file less that is ignored now", func(t *testing.T, dir string) {
			write(t, dir, ".slipwayignore", "b.go\n")
			remove(t, dir, "app/b.go")
		}, false},
		{"a mode", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "app/run.sh"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a link", func(t *testing.T, dir string) {
			remove(t, dir, "app/link")
			if err := os.Symlink("run.sh", filepath.Join(dir, "app/link")); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a sparse checkout", func(t *testing.T, dir string) {
			runGit(t, dir, "sparse-checkout", "set", "--no-cone", "/app/b.go")
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := repository(t)
			test.do(t, dir)
			if got := revision(t, filepath.Join(dir, "app")); got.Dirty != test.dirty {
				t.Errorf("dirty: %v, want %v", got.Dirty, test.dirty)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestIndexSavesReading has a file that cannot be told from what git last saw without reading it: it is not read.
func TestIndexSavesReading(t *testing.T) {
	dir := repository(t)
	long := time.Now().Add(-time.Hour)
	name := filepath.Join(dir, "a.go")
	if err := os.Chtimes(name, long, long); err != nil {
		t.Fatal(err)
	}
	runGit(t, dir, "update-index", "--refresh")
	write(t, dir, "a.go", "2")
	if !revision(t, dir).Dirty {
		t.Error("a change of the time alone was not seen")
	}
	if err := os.Chtimes(name, long, long); err != nil {
		t.Fatal(err)
	}
	if revision(t, dir).Dirty {
		t.Error("the file was read")
	}
}

func TestDirtyOfAFolderThatIsNotCommitted(t *testing.T) {
	dir := repository(t)
	write(t, dir, "new/a.go", "1")
	if !revision(t, filepath.Join(dir, "new")).Dirty {
		t.Error("a folder of which the commit knows nothing is clean")
	}
}

// TestRevisionOfAPart has a folder of a tree, in which rules from above say that a committed file is no source.
func TestRevisionOfAPart(t *testing.T) {
	dir := repository(t)
	write(t, dir, ".slipwayignore", "/app/b.go\n")
	remove(t, dir, "app/b.go")
	part, err := read(t, dir).Sub("app")
	if err != nil {
		t.Fatal(err)
	}
	got, err := part.Revision(t.Context())
	if err != nil || got.Dirty {
		t.Errorf("got %+v, %v", got, err)
	}
	write(t, dir, "app/run.sh", "2")
	if got, err = part.Revision(t.Context()); err != nil || !got.Dirty {
		t.Errorf("after a change: %+v, %v", got, err)
	}
}

func TestRevisionInAWorkTreeAndWithASubmodule(t *testing.T) {
	dir, other := repository(t), repository(t)
	runGit(t, dir, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other, "sub")
	hash := commit(t, dir)
	if got := revision(t, dir); got.Dirty {
		t.Error("a submodule makes it dirty")
	}
	linked := filepath.Join(t.TempDir(), "linked")
	runGit(t, dir, "worktree", "add", "-q", "-b", "other", linked)
	got := revision(t, linked)
	if got.String() != "other@sha1:"+hash || got.Dirty {
		t.Errorf("in a linked work tree: %+v", got)
	}
}

func TestNoRevision(t *testing.T) {
	empty := t.TempDir()
	runGit(t, empty, "init", "-q")
	for name, dir := range map[string]string{"no commit": empty, "no repository": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			if got, err := read(t, dir).Revision(t.Context()); !errors.Is(err, ErrNoRevision) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// BenchmarkTree has 10,000 files in 500 folders, all committed.
func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	runGit(b, dir, "init", "-q", "-b", "main")
	for i := range 10_000 {
		write(b, dir, fmt.Sprintf("d%d/e%d/file%d.go", i%20, i%500, i), strings.Repeat(fmt.Sprintln("line", i), 100))
	}
	write(b, dir, ".gitignore", "*.log\n/bin/\nnode_modules\n**/out/*.o\n!keep.o\n*.s[ao]\n")
	commit(b, dir)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if tree := read(b, dir); len(tree.Files) != 10_001 {
				b.Fatalf("%d files", len(tree.Files))
			}
		}
	})
	tree := read(b, dir)
	b.Run("digest", func(b *testing.B) {
		for b.Loop() {
			if _, err := tree.Digest(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("revision", func(b *testing.B) {
		for b.Loop() {
			if got, err := tree.Revision(b.Context()); err != nil || got.Dirty {
				b.Fatal(got, err)
			}
		}
	})
}
