//go:build linux

package supervise

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Lines as the kernel writes them (proc_net_tcp(5)).
const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 23 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 0 0 0 24 1
`

func TestHasListener(t *testing.T) {
	for port, want := range map[int]bool{8080: true, 8081: false, 80: true, 50000: false, 0: false} {
		if got := hasListener(table, port); got != want {
			t.Errorf("port %d listens: %v, want %v", port, got, want)
		}
	}
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if !listens(port) {
		t.Errorf("port %d is not seen to listen", port)
	}
	listener.Close()
	if listens(port) {
		t.Errorf("port %d is seen to listen after it was closed", port)
	}
}

func TestTail(t *testing.T) {
	kept := newTail()
	out, errs := os.Stdout, os.Stderr
	for range 30 {
		kept.add(out, []byte("line\n"))
	}
	kept.add(out, []byte("begun, "))
	kept.add(errs, []byte("other\nhalf"))
	kept.add(out, []byte("ended\n"+strings.Repeat("x", 2*lineBytes)+"\n"))
	got := kept.last()
	want := []string{"other", "begun, ended", strings.Repeat("x", lineBytes), "half"}
	if len(got) != keptLines || !cmp.Equal(got[len(got)-4:], want) {
		t.Errorf("%d lines, the last are %.80q, want %d and %.80q", len(got), got, keptLines, want)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	environment := []string{"PATH=/nowhere:" + dir}
	for name, want := range map[string]string{"tool": filepath.Join(dir, "tool"), "./tool": "./tool", "/x/y": "/x/y", "text": "", "gone": ""} {
		got, err := find(name, environment)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("find(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := find("sh", nil); err != nil || !strings.HasSuffix(got, "/sh") {
		t.Errorf("sh without a PATH: %q, %v", got, err)
	}
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the pod's first containers may run again
		if err := Install(dir); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, Program))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("installed: %v %v", info, err)
	}
}

func TestSeed(t *testing.T) {
	image, dir := t.TempDir(), t.TempDir()
	for name, mode := range map[string]os.FileMode{"app/a.html": 0o644, "app/deep/run": 0o755, "other/x": 0o600} {
		path := filepath.Join(image, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a.html", filepath.Join(image, "app/link")); err != nil {
		t.Fatal(err)
	}
	folders := []string{filepath.Join(image, "app"), filepath.Join(image, "gone")}
	if err := Seed(dir, folders); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, filesDir, image, "app")
	if link, err := os.Readlink(filepath.Join(there, "link")); link != "a.html" {
		t.Errorf("link = %q, %v", link, err)
	}
	if info, err := os.Stat(filepath.Join(there, "deep/run")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("deep/run: %v %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(dir, filesDir, image, "gone")); err != nil || !info.IsDir() {
		t.Errorf("a folder that the image does not have: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, filesDir, image, "other")); err == nil {
		t.Error("a folder was copied that nobody named")
	}
	// What was synced stays when the pod's first containers run again.
	if err := os.WriteFile(filepath.Join(there, "a.html"), []byte("synced"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Seed(dir, folders); err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(filepath.Join(there, "a.html")); string(content) != "synced" {
		t.Errorf("a.html = %q after seeding again, want what was synced", content)
	}
}
