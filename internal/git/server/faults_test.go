package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway.dev/slipway/internal/git/server"
)

// TestPushKilledHalfWay: a pack that ends in the middle, a server that dies, and files that it left.
func TestPushKilledHalfWay(t *testing.T) {
	root := t.TempDir()
	_, url := serve(t, root)
	work := newFolder(t).init(url + "/app.git")
	first := work.commit("a.txt", strings.Repeat("a", 10_000))
	work.git("push", "--quiet", "origin", "main")
	second := work.commit("b.txt", strings.Repeat("b", 10_000))

	pack := packOf(t, work, first+".."+second)
	line := fmt.Sprintf("%s %s refs/heads/main\x00report-status", first, second)
	whole := append(fmt.Appendf(nil, "%04x%s0000", len(line)+4, line), pack...)
	for _, size := range []int{len(line) / 2, len(line) + 8, len(whole) - len(pack)/2, len(whole) - 1} {
		if got := post(t, url+"/app.git/git-receive-pack", whole[:size]); strings.Contains(got, "unpack ok") {
			t.Errorf("a push of %d of %d bytes was taken: %q", size, len(whole), got)
		}
		if got := newFolder(t).clone(url+"/app.git").git("rev-parse", "HEAD"); got != first {
			t.Fatalf("after half a push main is at %s, want %s", got, first)
		}
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-40] ^= 1
	if got := post(t, url+"/app.git/git-receive-pack", damaged); strings.Contains(got, "unpack ok") {
		t.Errorf("a damaged push was taken: %q", got)
	}
	// A commit whose tree is not sent.
	lone := work.git("commit-tree", "-p", second, "-m", "x", second+"^{tree}")
	pack = packOf(t, work, second+".."+lone)
	line = fmt.Sprintf("%s %s refs/heads/lone\x00report-status", strings.Repeat("0", 40), lone)
	if got := post(t, url+"/app.git/git-receive-pack", append(fmt.Appendf(nil, "%04x%s0000", len(line)+4, line), pack...)); !strings.Contains(got, "missing necessary objects") {
		t.Errorf("a push with holes = %q", got)
	}

	// What a process that dies leaves: a new one goes on.
	repo := filepath.Join(root, "app.git")
	for _, name := range []string{"tmp_push_1/objects/pack/tmp_pack_1", "objects/pack/pack-" + strings.Repeat("1", 40) + ".idx", "tmp_ref_1"} {
		path := filepath.Join(repo, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, again := serve(t, root)
	work.git("remote", "set-url", "origin", again+"/app.git")
	work.git("push", "--quiet", "origin", "main")
	if got := newFolder(t).clone(again+"/app.git").git("rev-parse", "HEAD"); got != second {
		t.Errorf("main is at %s, want %s", got, second)
	}
	if left, _ := filepath.Glob(filepath.Join(repo, "tmp_*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	work.git("--git-dir", repo, "fsck", "--full", "--strict")
}

func packOf(t *testing.T, f *folder, revisions string) []byte {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, "..", "revs"), []byte(strings.ReplaceAll(revisions, "..", "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	from, to, _ := strings.Cut(revisions, "..")
	name := f.git("-c", "pack.threads=1", "rev-list", "--objects", "--no-object-names", to, "^"+from)
	path := filepath.Join(f.dir, "..", "list")
	if err := os.WriteFile(path, []byte(name+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	hash := f.gitIn(path, "pack-objects", "--quiet", filepath.Join(f.dir, "..", "made"))
	content, err := os.ReadFile(filepath.Join(f.dir, "..", "made-"+hash+".pack"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func post(t *testing.T, url string, body []byte) string {
	t.Helper()
	response, err := http.Post(url, "application/x-git-receive-pack-request", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

func TestHousekeepingKeepsEverything(t *testing.T) {
	root := t.TempDir()
	served, url := serve(t, root)
	work := newFolder(t).init(url + "/app.git")
	for i := range 45 {
		work.commit("a.txt", fmt.Sprintln(i))
		if i == 10 {
			work.git("tag", "-a", "v1", "-m", "v1")
			work.git("push", "--quiet", "origin", "v1", "main:refs/heads/other")
		}
		work.git("push", "--quiet", "origin", "main")
	}
	served.Close()
	packs, err := filepath.Glob(filepath.Join(root, "app.git/objects/pack/*.pack"))
	if err != nil || len(packs) > 25 {
		t.Errorf("%d packs are left (%v), want at most 25", len(packs), err)
	}
	clone := newFolder(t).clone(url + "/app.git")
	if got := clone.git("rev-list", "--count", "HEAD"); got != "45" {
		t.Errorf("%s commits, want 45", got)
	}
	clone.git("fsck", "--full", "--strict")
}

func TestPushTooLarge(t *testing.T) {
	made, err := server.New(server.Options{Root: t.TempDir(), MaxPush: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	url := listen(t, made)
	work := newFolder(t).init(url + "/app.git")
	noise := make([]byte, 2_000_000) // more than git sends at once
	random := rand.NewChaCha8([32]byte{2})
	_, _ = random.Read(noise)
	work.commit("a", string(noise))
	out, err := work.try("push", "origin", "main")
	if err == nil || !strings.Contains(out, "pack exceeds maximum allowed size") {
		t.Errorf("push = %v, %s", err, out)
	}
}

// TestPushBombs: what is small as it is sent and large when it is unpacked is refused before that, and said with what to
// do; the server goes on, and what it says to do works.
func TestPushBombs(t *testing.T) {
	for name, test := range map[string]struct {
		options server.Options
		files   func(i int) string
		want    string
	}{
		"zeros":   {server.Options{MaxUnpacked: 2 << 20}, func(i int) string { return strings.Repeat("\x00", i<<17) }, "more than 2 MiB, unpacked"},
		"history": {server.Options{MaxUnpacked: 2 << 20}, func(i int) string { return noise + fmt.Sprint(i) }, "more than 2 MiB, unpacked"},
		"objects": {server.Options{MaxObjects: 30}, func(i int) string { return fmt.Sprint(i) }, "more than 30 files, folders and commits"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Root = t.TempDir()
			made, err := server.New(test.options)
			if err != nil {
				t.Fatal(err)
			}
			url := listen(t, made) + "/team/app.git"
			work := newFolder(t).init(url)
			const commits = 12
			for i := range commits {
				work.commit("file", test.files(i))
			}
			out, err := work.try("push", "origin", "main")
			for _, word := range []string{"pack exceeds maximum allowed size", test.want, "team/app takes no more in one push: push an older commit first"} {
				if err == nil || !strings.Contains(out, word) {
					t.Errorf("push = %v, want %q:\n%s", err, word, out)
				}
			}
			left := 0
			err = filepath.WalkDir(filepath.Join(test.options.Root, "team/app.git"), func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.Type().IsRegular() && strings.Contains(path, "pack") {
					left++
				}
				return err
			})
			if err != nil || left > 0 {
				t.Errorf("%d files are left of it, %v", left, err)
			}
			for i := commits - 1; i >= 0; i-- {
				work.git("push", "--quiet", "origin", fmt.Sprintf("main~%d:refs/heads/main", i))
			}
			if got, want := newFolder(t).clone(url).git("rev-list", "--count", "HEAD"), fmt.Sprint(commits); got != want {
				t.Errorf("%s commits, want %s", got, want)
			}
		})
	}
}

// noise is what cannot be compressed.
var noise = func() string {
	made := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(made)
	return string(made)
}()

// TestLargeDifferences: large files that a pack has as differences are given out again, and housekeeping leaves them whole
// in its pack and nowhere else.
func TestLargeDifferences(t *testing.T) {
	root := t.TempDir()
	made, url := serve(t, root)
	work := newFolder(t).init(url + "/app.git")
	large := strings.Repeat(noise, 8)
	for i := range 4 {
		work.commit("large", large+fmt.Sprint(i))
	}
	work.git("push", "--quiet", "origin", "main")
	loose := func() int {
		found, err := filepath.Glob(filepath.Join(root, "app.git/objects/??/*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if got := loose(); got != 3 {
		t.Errorf("%d large files are stored whole, want the 3 that are differences", got)
	}
	clone := newFolder(t).clone(url + "/app.git")
	if got := clone.read("large"); got != large+"3" {
		t.Errorf("the clone has %d other bytes", len(got))
	}
	for i := range 25 {
		work.commit("small", fmt.Sprint(i))
		work.git("push", "--quiet", "origin", "main")
	}
	made.Close()
	if got := loose(); got != 0 {
		t.Errorf("after housekeeping %d files are left beside the pack", got)
	}
	clone.git("pull", "--quiet")
	clone.git("fsck", "--full", "--strict")
	work.git("--git-dir", filepath.Join(root, "app.git"), "fsck", "--full", "--strict")
}

// TestDirectoryTakenAway: a push for which no repository can be made is answered, and the next one is taken.
func TestDirectoryTakenAway(t *testing.T) {
	root := t.TempDir()
	_, url := serve(t, root)
	work := newFolder(t).init(url + "/team/app.git")
	work.commit("a", "a")
	if err := os.WriteFile(filepath.Join(root, "team"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := work.try("push", "origin", "main")
	if err == nil || !strings.Contains(out, "creating repository team/app") {
		t.Errorf("push = %v, %s", err, out)
	}
	if err := os.Remove(filepath.Join(root, "team")); err != nil {
		t.Fatal(err)
	}
	work.git("push", "--quiet", "origin", "main")

	if _, err := server.New(server.Options{Root: "/proc"}); err == nil || !strings.Contains(err.Error(), "opening the repositories in /proc") {
		t.Errorf("a directory that cannot be written: %v", err)
	}
}
