package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for _, entry := range entries {
		content := []byte(nil)
		if entry.Typeflag == tar.TypeReg {
			content = []byte("content of " + entry.Name)
			entry.Size = int64(len(content))
		}
		if err := archive.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestFetch(t *testing.T) {
	packed := pack(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./"}, tar.Header{Typeflag: tar.TypeReg, Name: "./bin/run", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "go.mod", Mode: 0o644}, tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/mod", Linkname: "../go.mod"})
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(packed))
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/none") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(packed)
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := Fetch(t.Context(), Source{URL: server.URL + "/blobs/" + digest}, dir); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "bin", "mod"))
	if err != nil || string(content) != "content of go.mod" {
		t.Errorf("through the link: %q, %v", content, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "run")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	if err := Fetch(t.Context(), Source{URL: server.URL, Digest: "sha256:" + strings.Repeat("0", 64)}, t.TempDir()); !errors.Is(err, ErrDigest) {
		t.Errorf("another digest: %v", err)
	}
	if err := Fetch(t.Context(), Source{URL: server.URL, MaxBytes: 20}, t.TempDir()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("20 bytes at most: %v", err)
	}
	before := asked
	if err := Fetch(t.Context(), Source{URL: server.URL + "/none"}, t.TempDir()); err == nil || asked != before+1 {
		t.Errorf("one that is not there: %v, asked %d times", err, asked-before)
	}
}

// TestFetchOfWhatWasCutOff: an archive without its end is refused where its digest says that it was stored so, and else may
// have lost it on the way.
func TestFetchOfWhatWasCutOff(t *testing.T) {
	packed := pack(t, tar.Header{Typeflag: tar.TypeReg, Name: "a"})
	packed = packed[:len(packed)/2]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed) }))
	defer server.Close()
	for digest, refused := range map[string]bool{"": false, "sha256:" + strings.Repeat("0", 64): false, fmt.Sprintf("sha256:%x", sha256.Sum256(packed)): true} {
		err := Fetch(t.Context(), Source{URL: server.URL, Digest: digest}, t.TempDir())
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrRefused) != refused {
			t.Errorf("of digest %q: %v, want that it is refused: %t", digest, err, refused)
		}
	}
}

// TestPackSized: the size is a matter of memory alone.
func TestPackSized(t *testing.T) {
	want := ""
	for _, size := range []int64{0, 10, 1 << 20} {
		packed, err := PackSized(size, func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte("content"), 1000)); return err })
		if err != nil {
			t.Fatal(err)
		}
		digest, err := packed.Digest()
		if err != nil || want != "" && digest.String() != want {
			t.Errorf("packed with size %d it is %s, %v; want %s", size, digest, err, want)
		}
		want = digest.String()
	}
	// An archive of the size that was said does not make the buffer grow.
	for _, size := range []int64{0, 1, 1000, 64 << 10, 8<<20 + 1} {
		packed, err := PackSized(size, func(w io.Writer) error { _, err := w.Write(make([]byte, size)); return err })
		if err != nil {
			t.Fatal(err)
		}
		layers, err := packed.Layers()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := layers[0].Size(); err != nil || got > int64(room(size)) {
			t.Errorf("%d bytes are %d once packed, %v; there is room for %d", size, got, err, room(size))
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"a name that leads out":        {{Typeflag: tar.TypeReg, Name: "../out"}},
		"one in the middle":            {{Typeflag: tar.TypeReg, Name: "a/../../out"}},
		"an absolute name":             {{Typeflag: tar.TypeReg, Name: "/out"}},
		"a link that leads out":        {{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "../out"}},
		"an absolute link":             {{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc"}},
		"a file through a link":        {{Typeflag: tar.TypeSymlink, Name: "a/b/link", Linkname: "../.."}, {Typeflag: tar.TypeSymlink, Name: "a/b/link/up", Linkname: "../../.."}},
		"a hard link":                  {{Typeflag: tar.TypeLink, Name: "hard", Linkname: "/etc/passwd"}},
		"a device":                     {{Typeflag: tar.TypeChar, Name: "device"}},
		"a file where a dir is":        {{Typeflag: tar.TypeDir, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a"}},
		"a link where a file is":       {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b"}},
		"links that go round":          {{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b"}, {Typeflag: tar.TypeSymlink, Name: "b", Linkname: "a"}, {Typeflag: tar.TypeReg, Name: "a"}},
		"too long a name":              {{Typeflag: tar.TypeReg, Name: strings.Repeat("a", 300)}},
		"too long a name of a dir":     {{Typeflag: tar.TypeDir, Name: strings.Repeat("a", 300)}},
		"a file in the place of a dir": {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "in", "side")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := Unpack(bytes.NewReader(pack(t, entries...)), dir, DefaultMaxBytes); !errors.Is(err, ErrRefused) {
				t.Errorf("unpacking it = %v, want that it is refused", err)
			}
			if _, err := os.Lstat(filepath.Join(above, "in", "out")); err == nil {
				t.Error("something was written outside")
			}
		})
	}
}

// TestBudget: what two archives hold together is bounded, not each of them alone.
func TestBudget(t *testing.T) {
	dir, packed := t.TempDir(), pack(t, tar.Header{Typeflag: tar.TypeReg, Name: "a"}) // of 12 bytes
	budget := &Budget{MaxBytes: 23}
	if err := budget.Unpack(bytes.NewReader(packed), dir); err != nil {
		t.Fatal(err)
	}
	if err := budget.Unpack(bytes.NewReader(packed), dir); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the second of them: %v, want that both are too large", err)
	}
	budget = &Budget{MaxBytes: 24}
	for range 2 {
		if err := budget.Unpack(bytes.NewReader(packed), dir); err != nil {
			t.Errorf("just as much as there may be: %v", err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, tar.Header{Typeflag: tar.TypeReg, Name: "a/b"}))
	f.Add(pack(f, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b/../c"}))
	f.Fuzz(func(t *testing.T, packed []byte) {
		above := t.TempDir()
		dir := filepath.Join(above, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Unpack(bytes.NewReader(packed), dir, 1<<20)
		if entries, err := os.ReadDir(above); err != nil || len(entries) != 1 {
			t.Errorf("outside: %v, %v", entries, err)
		}
	})
}

// TestFetchKeepsPasswords out of its errors, which conditions show and logs keep.
func TestFetchKeepsPasswords(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	from := strings.Replace(server.URL, "http://", "http://user:hidden@", 1) + "/a.tgz"
	err := Fetch(t.Context(), Source{URL: from}, t.TempDir())
	var answer *StatusError
	if !errors.As(err, &answer) || answer.Code != http.StatusNotFound || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}
