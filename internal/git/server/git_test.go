package server_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway.dev/slipway/internal/git/server"
)

// gitProgram fails the test where git is missing: the Makefile and continuous integration need it themselves.
func gitProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal("these tests need git")
	}
	return path
}

// serve runs a git server over root until the test ends.
func serve(t *testing.T, root string) (*server.Server, string) {
	t.Helper()
	made, err := server.New(server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(made)
	t.Cleanup(func() { web.CloseClientConnections(); made.Close(); web.Close() })
	return made, web.URL
}

// folder is a work tree of the real git.
type folder struct {
	t   *testing.T
	dir string
	env []string
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	gitProgram(t)
	home := t.TempDir()
	return &folder{t: t, dir: filepath.Join(home, "work"), env: append(os.Environ(),
		"HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "no_proxy=*", "NO_PROXY=*",
	)}
}

// try runs git and returns what it wrote.
func (f *folder) try(arguments ...string) (string, error) {
	f.t.Helper()
	command := exec.CommandContext(f.t.Context(), "git", arguments...)
	command.Dir, command.Env = f.dir, f.env
	if _, err := os.Stat(f.dir); errors.Is(err, os.ErrNotExist) {
		command.Dir = filepath.Dir(f.dir)
	}
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (f *folder) git(arguments ...string) string {
	f.t.Helper()
	out, err := f.try(arguments...)
	if err != nil {
		f.t.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

// init makes the folder a repository with a remote.
func (f *folder) init(url string) *folder {
	f.t.Helper()
	f.git("init", "--quiet", "--initial-branch=main", f.dir)
	f.git("remote", "add", "origin", url)
	return f
}

func (f *folder) clone(url string, options ...string) *folder {
	f.t.Helper()
	f.git(append(append([]string{"clone", "--quiet"}, options...), url, f.dir)...)
	return f
}

// commit writes a file and commits it; it returns the commit.
func (f *folder) commit(path, content string) string {
	f.t.Helper()
	full := filepath.Join(f.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
	f.git("add", "--", path)
	f.git("commit", "--quiet", "--message=write "+path)
	return f.git("rev-parse", "HEAD")
}

func (f *folder) read(path string) string {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, path))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(content)
}

// gitIn is git with a file as its input.
func (f *folder) gitIn(path string, arguments ...string) string {
	f.t.Helper()
	input, err := os.Open(path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer input.Close()
	command := exec.CommandContext(f.t.Context(), "git", arguments...)
	command.Dir, command.Env, command.Stdin = f.dir, f.env, input
	out, err := command.Output()
	if err != nil {
		f.t.Fatalf("git %s: %v", strings.Join(arguments, " "), err)
	}
	return strings.TrimSpace(string(out))
}

func listen(t *testing.T, made *server.Server) string {
	t.Helper()
	web := httptest.NewServer(made)
	t.Cleanup(func() { web.CloseClientConnections(); made.Close(); web.Close() })
	return web.URL
}
