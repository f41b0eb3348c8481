package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/git/contents"
	"slipway.dev/slipway/internal/git/events"
	"slipway.dev/slipway/internal/git/server"
)

func TestPushCreatesAndClonesSee(t *testing.T) {
	for _, protocol := range []string{"0", "1", "2"} {
		t.Run("protocol "+protocol, func(t *testing.T) {
			_, url := serve(t, t.TempDir())
			repo := url + "/team/app.git"
			work := newFolder(t).init(repo)
			work.git("config", "--global", "protocol.version", protocol)
			first := work.commit("a.txt", "one\n")
			work.git("tag", "-a", "v1", "-m", "first")
			work.git("push", "--quiet", "origin", "main", "v1")

			other := newFolder(t)
			other.git("config", "--global", "protocol.version", protocol)
			other.clone(strings.TrimSuffix(repo, ".git"))
			if got := other.git("rev-parse", "HEAD"); got != first {
				t.Errorf("the clone is at %s, want %s", got, first)
			}
			if got := other.git("describe", "--exact-match"); got != "v1" {
				t.Errorf("the clone's tag = %s, want v1", got)
			}
			// Back and forth, so that both negotiate over a history that they share.
			second := other.commit("sub/b.txt", "two\n")
			other.git("push", "--quiet")
			work.git("pull", "--quiet", "origin", "main")
			if got := work.git("rev-parse", "HEAD"); got != second || work.read("sub/b.txt") != "two\n" {
				t.Errorf("after the pull at %s, want %s", got, second)
			}
			work.git("fsck", "--full", "--strict")
			other.git("fsck", "--full", "--strict")
		})
	}
}

// TestFetchSendsWhatIsNew: a fetch of a small change to a large repository is small.
func TestFetchSendsWhatIsNew(t *testing.T) {
	_, url := serve(t, t.TempDir())
	work := newFolder(t).init(url + "/app.git")
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 200_000)
	for i := range 10 {
		_, _ = random.Read(noise)
		work.commit(fmt.Sprintf("dir%d/noise", i), string(noise))
	}
	work.git("push", "--quiet", "origin", "main")
	other := newFolder(t).clone(url + "/app.git")
	want := work.commit("dir0/small", "x")
	work.git("push", "--quiet", "origin", "main")
	other.git("-c", "fetch.unpackLimit=1", "fetch", "--quiet")
	if got := other.git("rev-parse", "origin/main"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	packs, _ := filepath.Glob(filepath.Join(other.dir, ".git/objects/pack/*.pack"))
	smallest := int64(1 << 40)
	for _, pack := range packs {
		info, err := os.Stat(pack)
		if err != nil {
			t.Fatal(err)
		}
		smallest = min(smallest, info.Size())
	}
	if len(packs) == 0 || smallest > 2000 {
		t.Errorf("%d packs, the smallest of %d bytes: the fetch brought more than what was new", len(packs), smallest)
	}
}

func TestShallow(t *testing.T) {
	_, url := serve(t, t.TempDir())
	work := newFolder(t).init(url + "/app.git")
	for i := range 6 {
		work.commit("a.txt", fmt.Sprintln(i))
	}
	work.git("push", "--quiet", "origin", "main")

	shallow := newFolder(t).clone(url+"/app.git", "--depth=1")
	count := func() string { return shallow.git("rev-list", "--count", "HEAD") }
	if got := count(); got != "1" {
		t.Errorf("a clone of depth 1 has %s commits", got)
	}
	work.commit("b.txt", "b")
	work.git("push", "--quiet", "origin", "main")
	shallow.git("pull", "--quiet")
	if got := count(); got != "2" {
		t.Errorf("after a pull it has %s commits, want 2", got)
	}
	want := shallow.commit("c.txt", "c")
	shallow.git("push", "--quiet")
	shallow.git("fetch", "--quiet", "--depth=3")
	if got := count(); got != "3" {
		t.Errorf("with depth 3 it has %s commits, want 3", got)
	}
	shallow.git("fetch", "--quiet", "--depth=5")
	if got := count(); got != "5" {
		t.Errorf("with depth 5 it has %s commits, want 5", got)
	}
	shallow.git("fetch", "--quiet", "--unshallow")
	if got := count(); got != "8" {
		t.Errorf("whole it has %s commits, want 8", got)
	}
	shallow.git("fsck", "--full", "--strict")
	work.git("pull", "--quiet", "origin", "main")
	if got := work.git("rev-parse", "HEAD"); got != want {
		t.Errorf("what a shallow clone pushed = %s, want %s", got, want)
	}
	for _, option := range []string{"--shallow-since=2000-01-01", "--deepen=1"} {
		out, err := shallow.try("fetch", option)
		name, _, _ := strings.Cut(option, "=")
		if err == nil || !strings.Contains(out, "does not support "+name) {
			t.Errorf("fetch %s = %v, %s; want git's refusal", option, err, out)
		}
	}
}

func TestRefused(t *testing.T) {
	_, url := serve(t, t.TempDir())
	repo := url + "/app.git"
	work := newFolder(t).init(repo)
	work.commit("a.txt", "a")
	work.git("push", "--quiet", "origin", "main")
	late := newFolder(t).clone(repo)
	kept := work.commit("b.txt", "b")
	work.git("push", "--quiet", "origin", "main")
	late.commit("c.txt", "c")
	refused := func(want string, f *folder, arguments ...string) {
		t.Helper()
		out, err := f.try(arguments...)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("git %s = %v\n%s\nwant an error with %q", strings.Join(arguments, " "), err, out, want)
		}
	}
	refused("(fetch first)", late, "push", "origin", "main")
	refused("(non-fast-forward)", late, "push", "--force", "origin", "main")
	refused("deletion of the current branch prohibited", late, "push", "origin", ":main")
	refused("not found", newFolder(t), "clone", url+"/none.git")
	refused("error: 400", newFolder(t), "clone", url+"/.hidden/app.git")
	if got := newFolder(t).clone(repo).git("rev-parse", "HEAD"); got != kept {
		t.Errorf("main is at %s, want %s", got, kept)
	}
	// What is no loss is allowed.
	late.git("push", "--quiet", "origin", "HEAD:refs/heads/topic/one")
	refused("failed to update ref", late, "push", "origin", "HEAD:refs/heads/topic")
	late.git("push", "--quiet", "origin", ":topic/one")
	late.git("push", "--quiet", "origin", "HEAD:refs/heads/topic")
	late.git("push", "--quiet", "origin", "HEAD^:refs/heads/again") // nothing in its pack
	late.git("pull", "--quiet", "--rebase", "origin", "main")
	late.git("push", "--quiet", "origin", "main")
}

func TestFirstBranchIsCheckedOut(t *testing.T) {
	_, url := serve(t, t.TempDir())
	work := newFolder(t).init(url + "/app.git")
	work.commit("a.txt", "a")
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
	if got := newFolder(t).clone(url+"/app.git").git("branch", "--show-current"); got != "trunk" {
		t.Errorf("a clone checks out %q, want trunk", got)
	}
}

// TestConcurrentWriters: twenty stock clients, each with its own clone, none of whose commits may be lost.
func TestConcurrentWriters(t *testing.T) {
	const writers, rounds = 20, 1
	_, url := serve(t, t.TempDir())
	repo := url + "/team/config.git"
	seed := newFolder(t).init(repo)
	seed.commit("README", "config")
	seed.git("push", "--quiet", "origin", "main")
	folders := make([]*folder, writers)
	for i := range folders {
		folders[i] = newFolder(t).clone(repo)
	}
	var wg sync.WaitGroup
	for i, f := range folders {
		wg.Go(func() {
			for round := range rounds {
				path := fmt.Sprintf("config/app%d/%d.yml", i, round)
				if err := os.MkdirAll(filepath.Dir(filepath.Join(f.dir, path)), 0o755); err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(filepath.Join(f.dir, path), []byte(path), 0o644); err != nil {
					t.Error(err)
					return
				}
				if out, err := f.try("add", "--all"); err != nil {
					t.Error(out)
					return
				}
				if out, err := f.try("commit", "--quiet", "--message="+path); err != nil {
					t.Error(out)
					return
				}
				pushUntilTaken(t, f)
			}
		})
	}
	wg.Wait()
	result := newFolder(t).clone(repo)
	if got, want := result.git("rev-list", "--count", "HEAD"), fmt.Sprint(1+writers*rounds); got != want {
		t.Errorf("%s commits, want %s", got, want)
	}
	for i := range writers {
		for round := range rounds {
			path := fmt.Sprintf("config/app%d/%d.yml", i, round)
			if got := result.read(path); got != path {
				t.Errorf("%s = %q", path, got)
			}
		}
	}
	result.git("fsck", "--full", "--strict")
}

// pushUntilTaken does what a person does: pull with rebase, and push again, as long as others are first.
func pushUntilTaken(t *testing.T, f *folder) {
	t.Helper()
	for range 500 {
		out, err := f.try("push", "--quiet", "origin", "main")
		if err == nil {
			return
		}
		if !strings.Contains(out, "rejected]") {
			t.Errorf("a push failed for another reason than another writer: %s", out)
			return
		}
		if out, err := f.try("pull", "--quiet", "--rebase", "origin", "main"); err != nil {
			t.Errorf("pull --rebase: %s", out)
			return
		}
	}
	t.Error("500 pushes were all rejected")
}

func TestListings(t *testing.T) {
	_, url := serve(t, t.TempDir())
	work := newFolder(t).init(url + "/team/app.git")
	first := work.commit("a.txt", "a")
	second := work.commit("dir/b.txt", "b")
	work.git("push", "--quiet", "origin", "main")
	var listing contents.Listing
	get(t, url+contents.Path, http.StatusOK, &listing)
	want := contents.Listing{Repositories: []contents.Repository{{Name: "team/app", Head: "main", Branches: []contents.Branch{{Name: "main", Commit: second}}}}}
	if diff := cmp.Diff(want, listing); diff != "" {
		t.Errorf("listing differs (-want +got):\n%s", diff)
	}
	var commits []contents.Commit
	get(t, url+contents.LogPath+"?repository=team/app", http.StatusOK, &commits)
	var got [][]string
	for _, commit := range commits {
		got = append(got, []string{commit.Hash, commit.Author, strings.TrimSpace(commit.Message), strings.Join(commit.Files, " ")})
	}
	if diff := cmp.Diff([][]string{{second, "Ann <ann@example.com>", "write dir/b.txt", "dir/b.txt"}, {first, "Ann <ann@example.com>", "write a.txt", "a.txt"}}, got); diff != "" {
		t.Errorf("log differs (-want +got):\n%s", diff)
	}
	get(t, url+contents.LogPath+"?repository=team/app&ref="+first+"&limit=1", http.StatusOK, &commits)
	if len(commits) != 1 || commits[0].Hash != first {
		t.Errorf("log of a commit = %+v", commits)
	}
	for query, status := range map[string]int{
		"?repository=none": 404, "?repository=team/app&ref=nope": 404, "?repository=team/app&limit=0": 400, "?repository=../etc": 400,
		"?repository=team/app&ref=" + strings.Repeat("1", 40): 404,
	} {
		get(t, url+contents.LogPath+query, status, nil)
	}
	get(t, url+server.HealthPath, http.StatusOK, nil)
	get(t, url+"/slipway/v1/none", http.StatusNotFound, nil)
}

func get(t *testing.T, url string, status int, into any) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Errorf("GET %s = %s, want %d", url, response.Status, status)
		return
	}
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Errorf("GET %s: %v", url, err)
		}
	}
}

// TestPushIsTold: whoever follows the stream hears of a push when it can be fetched.
func TestPushIsTold(t *testing.T) {
	_, url := serve(t, t.TempDir())
	work := newFolder(t).init(url + "/team/app.git")
	want := work.commit("a.txt", "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pushed := make(chan struct{})
	var got []events.Event
	err := events.Follow(ctx, url+events.Path, nil, events.Handler{
		Connected: func() {
			go func() { defer close(pushed); work.git("push", "--quiet", "origin", "main") }()
		},
		Event: func(event events.Event) {
			event.Time = time.Time{}
			got = append(got, event)
			cancel()
		},
	})
	<-pushed
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v", err)
	}
	if diff := cmp.Diff([]events.Event{{Repository: "team/app", Ref: "refs/heads/main", Commit: want}}, got); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}
