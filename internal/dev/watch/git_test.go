package watch

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/tree"
)

// git runs the real git in a folder, without the settings of who runs the tests.
func git(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	if output, err := tryGit(t, dir, nil, arguments...); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func tryGit(t *testing.T, dir string, input io.Reader, arguments ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git here: its Debian package is git")
	}
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir, cmd.Stdin = dir, input
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C", "GIT_EDITOR=true",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	return output.String(), err
}

func commit(t *testing.T, dir, message string) {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", message)
}

// quietAfter makes sure that no further batch comes of what was done: the next is that of another save.
func quietAfter(t *testing.T, dir string, batches <-chan Batch) {
	t.Helper()
	write(t, dir, "zzz", fmt.Sprint(time.Now().UnixNano()))
	if diff := cmp.Diff([]string{"zzz"}, one(t, batches)); diff != "" {
		t.Errorf("there was more than one batch (-want +got):\n%s", diff)
	}
}

// TestCheckoutIsOneBatch checks out 10,000 files, there and back.
func TestCheckoutIsOneBatch(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, ".gitignore", "zzz\n")
	write(t, dir, ".slipwayignore", "!zzz\n")
	write(t, dir, "a.go", "1")
	commit(t, dir, "small")
	// Made inside git, since making as many files once more takes long.
	stream := &bytes.Buffer{}
	fmt.Fprint(stream, "blob\nmark :1\ndata 10\npackage e\n\ncommit refs/heads/big\ncommitter a <a@example.com> 1000000000 +0000\ndata 3\nbig\nfrom refs/heads/main^0\n")
	var names []string
	for i := range 10_000 {
		name := fmt.Sprintf("d%d/e%d/file%d.go", i%20, i%500, i)
		fmt.Fprintf(stream, "M 100644 :1 %s\n", name)
		names = append(names, name)
	}
	slices.Sort(names)
	if output, err := tryGit(t, dir, stream, "fast-import", "--quiet"); err != nil {
		t.Fatalf("making the commit: %v\n%s", err, output)
	}
	batches := start(t, dir, byEvents, Options{})
	for _, branch := range []string{"big", "main"} {
		git(t, dir, "checkout", "-q", branch)
		if diff := cmp.Diff(names, one(t, batches)); diff != "" {
			t.Fatalf("batch of the checkout of %s (-want +got):\n%.2000s", branch, diff)
		}
		quietAfter(t, dir, batches)
	}
}

// TestGitOperationsAreOneBatch has operations of several steps.
func TestGitOperationsAreOneBatch(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, ".slipwayignore", "!zzz\n")
	write(t, dir, ".gitignore", "zzz\n")
	write(t, dir, "a.go", "1")
	commit(t, dir, "first")
	git(t, dir, "checkout", "-q", "-b", "topic")
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("f%02d.go", i)
		write(t, dir, name, "1")
		names = append(names, name)
		commit(t, dir, name)
	}
	git(t, dir, "checkout", "-q", "main")
	write(t, dir, "a.go", "2")
	commit(t, dir, "second")
	git(t, dir, "checkout", "-q", "topic")

	batches := start(t, dir, byEvents, Options{})
	git(t, dir, "rebase", "-q", "main")
	if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
		t.Errorf("batch of the rebase (-want +got):\n%s", diff)
	}
	quietAfter(t, dir, batches)

	git(t, dir, "checkout", "-q", "main")
	if diff := cmp.Diff(names, one(t, batches)); diff != "" {
		t.Errorf("batch of the checkout (-want +got):\n%s", diff)
	}
	git(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "topic")
	if diff := cmp.Diff(names, one(t, batches)); diff != "" {
		t.Errorf("batch of the merge (-want +got):\n%s", diff)
	}
	quietAfter(t, dir, batches)
}

// TestConflict has git stop in the middle, where the user's saves are what counts.
func TestConflict(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, "a.go", "1")
	commit(t, dir, "first")
	git(t, dir, "checkout", "-q", "-b", "topic")
	write(t, dir, "a.go", "topic")
	commit(t, dir, "topic")
	git(t, dir, "checkout", "-q", "main")
	write(t, dir, "a.go", "main")
	commit(t, dir, "main")
	batches := start(t, dir, byEvents, Options{})
	if output, err := tryGit(t, dir, nil, "rebase", "topic"); err == nil {
		t.Fatalf("there is no conflict: %s", output)
	}
	if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
		t.Errorf("batch of the rebase (-want +got):\n%s", diff)
	}
	write(t, dir, "a.go", "both")
	if diff := cmp.Diff([]string{"a.go"}, one(t, batches)); diff != "" {
		t.Errorf("batch of the save (-want +got):\n%s", diff)
	}
	git(t, dir, "add", "a.go")
	git(t, dir, "rebase", "--continue")
	write(t, dir, "b.go", "1")
	if diff := cmp.Diff([]string{"b.go"}, one(t, batches)); diff != "" {
		t.Errorf("batch after the end (-want +got):\n%s", diff)
	}
}

// TestOccupied goes through what is in git's folder.
func TestOccupied(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	tests := []struct {
		name string
		do   func(t *testing.T, git string)
		idle time.Duration
		want bool
	}{
		{"nothing", func(*testing.T, string) {}, 0, false},
		{"a lock", func(t *testing.T, git string) { write(t, git, "index.lock", "") }, 0, true},
		{"a lock that was left behind", func(t *testing.T, git string) { write(t, git, "index.lock", "") }, staleLock, false},
		{"a rebase", func(t *testing.T, git string) { write(t, git, "rebase-merge/done", "") }, time.Hour, true},
		{"a merge", func(t *testing.T, git string) { write(t, git, "MERGE_HEAD", "") }, time.Hour, true},
		{"a merge that has stopped", func(t *testing.T, git string) {
			write(t, git, "MERGE_HEAD", "")
			for _, name := range []string{"MERGE_HEAD", "."} {
				if err := os.Chtimes(filepath.Join(git, name), long, long); err != nil {
					t.Fatal(err)
				}
			}
		}, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, ".git/HEAD", "")
			test.do(t, filepath.Join(dir, ".git"))
			if got := newOccupied(t, dir).now(test.idle); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	t.Run("the directory is gone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "app")
		write(t, dir, "a", "")
		o := newOccupied(t, dir)
		remove(t, dir, "")
		if !o.now(time.Hour) {
			t.Error("nobody waits for it")
		}
	})
}

func newOccupied(t *testing.T, dir string) occupied {
	t.Helper()
	return occupied{newWatched(t, dir)}
}

func newWatched(t *testing.T, dir string) *watched {
	t.Helper()
	rules, err := tree.NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &watched{rules: rules, root: rules.Root()}
}
