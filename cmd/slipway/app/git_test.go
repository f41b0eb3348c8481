package app_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/git/server"
)

// withGit gives the commands a real git server with a repository slipway/config, and returns its address and the commit.
func withGit(t *testing.T, d *app.Deps) (host, commit string) {
	t.Helper()
	made, err := server.New(server.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(made)
	t.Cleanup(func() { web.CloseClientConnections(); made.Close(); web.Close() })
	host = strings.TrimPrefix(web.URL, "http://")
	d.Git = func(context.Context, environment.Name) (string, error) { return host, nil }
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	git := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Ann", "-c", "user.email=ann@example.com"}, arguments...)...)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", arguments, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(filepath.Join(dir, "delivery.yml"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "delivery.yml")
	git("commit", "--quiet", "-m", "deliver hello")
	git("push", "--quiet", web.URL+"/slipway/config.git", "main")
	return host, git("rev-parse", "HEAD")
}

func TestGit(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	host, commit := withGit(t, d)
	for _, test := range []struct {
		arguments string
		code      int
		want      []string
	}{
		{"git url", 0, []string{"http://" + host + "/slipway/config.git\n"}},
		{"git url apps/new", 0, []string{"http://" + host + "/apps/new.git\n"}},
		{"git url http://" + host + "/slipway/config.git --in-cluster", 0, []string{"http://slipway-git:9418/slipway/config.git\n"}},
		{"git url http://slipway-git:9418/slipway/config.git", 0, []string{"http://" + host + "/slipway/config.git\n"}},
		{"git url https://github.com/a/b", 1, []string{`"https://github.com/a/b" is no name of a repository`}},
		{"__complete git log slip", 0, []string{"slipway/config\n"}},
		{"__complete git log slipway/config --branch=", 0, []string{"main\n"}},
		{"git url a -o json", 0, []string{`"inCluster": "http://slipway-git:9418/a.git"`, `"repository": "a"`}},
		{"git url ../a", 1, []string{"no name of a repository"}},
		{"git log slipway/config", 0, []string{"COMMIT", commit[:12], "Ann", "deliver hello: delivery.yml"}},
		{"git log slipway/config.git --branch main --limit 1 -o json", 0, []string{`"hash": "` + commit}},
		{"git log slipway/config --branch none", 1, []string{`there is no branch, tag or commit "none"`, "slipway git url"}},
		{"git log nowhere", 1, []string{"repository not found: nowhere"}},
		{"git log", 2, []string{"takes one repository"}},
		{"git log a --limit 0", 2, []string{"--limit 0 is not from 1 to 1000"}},
		{"git clone", 2, []string{"takes a repository and a folder"}},
	} {
		out.Reset()
		errOut.Reset()
		code := app.RunWith(t.Context(), d, strings.Fields(test.arguments))
		if code != test.code {
			t.Errorf("slipway %s ends with %d, want %d: %s", test.arguments, code, test.code, errOut)
		}
		for _, want := range test.want {
			if !strings.Contains(out.String()+errOut.String(), want) {
				t.Errorf("slipway %s lacks %q:\n%s%s", test.arguments, want, out, errOut)
			}
		}
	}
	d.Streams.OutIsTerminal, d.Streams.Columns, d.Streams.NoColor = true, 80, true
	out.Reset()
	if code := app.RunWith(t.Context(), d, []string{"git", "log", "slipway/config"}); code != 0 {
		t.Errorf("git log ends with %d: %s", code, errOut)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("a line has %d columns: %s", len(line), line)
		}
	}
	folder := filepath.Join(t.TempDir(), "clone")
	if code := app.RunWith(t.Context(), d, []string{"git", "clone", "slipway/config", folder}); code != 0 {
		t.Fatalf("git clone ends with %d: %s", code, errOut)
	}
	if content, err := os.ReadFile(filepath.Join(folder, "delivery.yml")); err != nil || string(content) != "{}\n" {
		t.Errorf("cloned %q, %v", content, err)
	}
	if code := app.RunWith(t.Context(), d, []string{"git", "clone", "none"}); code != 1 || !strings.Contains(errOut.String(), "slipway git url") {
		t.Errorf("a clone of nothing ends with %d: %s", code, errOut)
	}
}
