package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/git/pack"
	"slipway.dev/slipway/internal/git/server"
)

func serve(t *testing.T) (url, root string) {
	t.Helper()
	root = t.TempDir()
	made, err := server.New(server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(made)
	t.Cleanup(func() { web.CloseClientConnections(); made.Close(); web.Close() })
	return web.URL, root
}

func change(path string, files map[string]string) client.Change {
	return client.Change{
		Branch: "main", Path: path, Files: files, Name: "supplychain", Email: "supplychain@example.com", Message: "update " + path,
		Now: func() time.Time { return time.Unix(1_700_000_000, 0).UTC() },
	}
}

// git runs the real program in a bare repository of the server.
func git(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-c", "safe.directory=*", "--git-dir", dir}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestCommit(t *testing.T) {
	url, root := serve(t)
	dir := filepath.Join(root, "slipway", "config.git")
	repo := client.Repository{URL: url + "/slipway/config.git"}
	commit := func(path string, files map[string]string, made bool) client.Result {
		t.Helper()
		result, err := repo.Commit(t.Context(), change(path, files))
		if err != nil || result.Made != made {
			t.Fatalf("Commit(%s) = %+v, %v; want made %t", path, result, err, made)
		}
		if got := git(t, dir, "rev-parse", "main"); got != result.Commit {
			t.Fatalf("main is at %s, want %s", got, result.Commit)
		}
		return result
	}
	commit("config/dev/a", map[string]string{"delivery.yml": "one\n", "old.yml": "x"}, true)
	commit("config/dev/b", map[string]string{"delivery.yml": "b\n", "sub/more.yml": "c"}, true)
	commit("config/dev/a", map[string]string{"delivery.yml": "one\n", "old.yml": "x"}, false)
	commit("config/dev/a", map[string]string{"delivery.yml": "two\n"}, true)
	if got := git(t, dir, "ls-tree", "-r", "--name-only", "main"); got != "config/dev/a/delivery.yml\nconfig/dev/b/delivery.yml\nconfig/dev/b/sub/more.yml" {
		t.Errorf("files:\n%s", got)
	}
	if got := git(t, dir, "show", "main:config/dev/a/delivery.yml"); got != "two" {
		t.Errorf("delivery.yml = %q", got)
	}
	if got := git(t, dir, "log", "--format=%an %ae %s", "-1", "main"); got != "supplychain supplychain@example.com update config/dev/a" {
		t.Errorf("log = %q", got)
	}
	if got := git(t, dir, "rev-list", "--count", "main"); got != "3" {
		t.Errorf("%s commits, want 3", got)
	}
	git(t, dir, "fsck", "--full", "--strict")
}

// TestCommitConcurrently: each of twenty writers owns a folder; every one of their commits is on the branch.
func TestCommitConcurrently(t *testing.T) {
	const writers, rounds = 20, 3
	url, root := serve(t)
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			repo := client.Repository{URL: url + "/slipway/config.git"}
			for round := range rounds {
				if _, err := repo.Commit(t.Context(), change(fmt.Sprintf("config/dev/app%d", writer), map[string]string{"delivery.yml": fmt.Sprint(round)})); err != nil {
					t.Errorf("writer %d: %v", writer, err)
				}
			}
		})
	}
	wg.Wait()
	dir := filepath.Join(root, "slipway", "config.git")
	if got := git(t, dir, "rev-list", "--count", "main"); got != fmt.Sprint(writers*rounds) {
		t.Errorf("%s commits, want %d", got, writers*rounds)
	}
	for writer := range writers {
		if got := git(t, dir, "show", fmt.Sprintf("main:config/dev/app%d/delivery.yml", writer)); got != fmt.Sprint(rounds-1) {
			t.Errorf("app%d = %q", writer, got)
		}
	}
	git(t, dir, "fsck", "--full", "--strict")
}

// TestCommitToLargeBranch: a branch that is small as it is sent and large when it is unpacked is not fetched, whether
// files or their number make it large; nothing of it is left.
func TestCommitToLargeBranch(t *testing.T) {
	url, _ := serve(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	repo := client.Repository{URL: url + "/slipway/config.git"}
	if _, err := repo.Commit(t.Context(), change("a", map[string]string{"zeros": strings.Repeat("\x00", 8<<20), "other": "x"})); err != nil {
		t.Fatal(err)
	}
	plenty := pack.Limits{Packed: 1 << 20, Unpacked: 9 << 20, Objects: 5}
	for want, lower := range map[string]func(*pack.Limits){
		"too large to be fetched: branch main has files and folders of more than 8 MiB, unpacked": func(l *pack.Limits) { l.Unpacked = 8 << 20 },
		"too large to be fetched: branch main has more than 4 files, folders and commits":         func(l *pack.Limits) { l.Objects = 4 },
		"too large to be fetched: branch main has more than 1 KiB, compressed":                    func(l *pack.Limits) { l.Packed = 1 << 10 },
	} {
		repo.Limits = plenty
		lower(&repo.Limits)
		if _, err := repo.Commit(t.Context(), change("b", map[string]string{"c": "d"})); !errors.Is(err, client.ErrTooLarge) || err.Error() != want {
			t.Errorf("Commit = %v, want %s", err, want)
		}
	}
	repo.Limits = plenty
	if result, err := repo.Commit(t.Context(), change("b", map[string]string{"c": "d"})); err != nil || !result.Made {
		t.Errorf("within the limits: %+v, %v", result, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestCommitRefusesPaths(t *testing.T) {
	repo := client.Repository{URL: "http://127.0.0.1:1/x.git"}
	for _, name := range []string{"../a", "/a", "a/../../b", ".git/config", "a/.GIT/x", "a\\b", ".", "", "a//b"} {
		if _, err := repo.Commit(t.Context(), change("config", map[string]string{name: "x"})); err == nil || !strings.Contains(err.Error(), "no path") {
			t.Errorf("a file %q: %v", name, err)
		}
		if name == "" {
			continue
		}
		if _, err := repo.Commit(t.Context(), change(name, map[string]string{"a": "x"})); err == nil || !strings.Contains(err.Error(), "no path") {
			t.Errorf("a folder %q: %v", name, err)
		}
	}
	if _, err := repo.Commit(t.Context(), change("a", nil)); err == nil {
		t.Error("no files are a commit")
	}
}

func TestCommitWithBasicAuth(t *testing.T) {
	made, err := server.New(server.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		made.ServeHTTP(w, r)
	}))
	defer web.Close()
	repo := client.Repository{URL: web.URL + "/app.git"}
	if _, err := repo.Commit(t.Context(), change("a", map[string]string{"b": "c"})); !errors.Is(err, client.ErrUnauthorized) {
		t.Errorf("without credentials: %v", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: map[string][]byte{"username": []byte("ann"), "password": []byte("secret")}}
	if repo.Auth, err = client.Credentials(repo.URL, secret); err != nil {
		t.Fatal(err)
	}
	if result, err := repo.Commit(t.Context(), change("a", map[string]string{"b": "c"})); err != nil || !result.Made {
		t.Errorf("with credentials: %+v, %v", result, err)
	}
}

func TestCredentialsSayWhatIsMissing(t *testing.T) {
	for _, test := range []struct {
		url  string
		data map[string][]byte
		want string
	}{
		{"https://git.example/x.git", nil, "neither username and password nor bearerToken"},
		{"ssh://git.example/x.git", nil, "no private key"},
		{"ssh://git.example/x.git", map[string][]byte{"ssh-privatekey": []byte("nonsense")}, "no private key"},
	} {
		_, err := client.Credentials(test.url, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: test.data})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.url, err, test.want)
		}
	}
}
