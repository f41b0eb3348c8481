package staticserver_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway.dev/slipway/internal/staticserver"
)

// site is a folder as it is in an image: all files are of the time 0.
func site(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serve(t *testing.T, dir string, spa bool) http.Handler {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return staticserver.New(staticserver.Options{Root: root.FS(), SPA: spa})
}

func get(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	buffer := make([]byte, 4096)
	n, _ := r.Body.Read(buffer)
	return string(buffer[:n])
}

var files = map[string]string{
	"index.html": "<p>home", "a/index.html": "<p>a", "a/b.txt": "bee", "empty/.keep": "", "app.js": "let a", "font.woff2": "f", "LOGO.SVG": "<svg/>", "data": "plain words",
}

func TestAnswers(t *testing.T) {
	plain, spa := serve(t, site(t, files), false), serve(t, site(t, files), true)
	tests := []struct {
		handler              http.Handler
		target               string
		status               int
		kind, body, location string
	}{
		{plain, "/", 200, "text/html; charset=utf-8", "<p>home", ""},
		{plain, "/index.html", 200, "text/html; charset=utf-8", "<p>home", ""},
		{plain, "/a/", 200, "text/html; charset=utf-8", "<p>a", ""},
		{plain, "/a?x=1", 301, "", "", "./a/?x=1"},
		{plain, "/a/b.txt", 200, "text/plain; charset=utf-8", "bee", ""},
		{plain, "/a/b.txt/", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{plain, "/app.js", 200, "text/javascript; charset=utf-8", "let a", ""},
		{plain, "/font.woff2", 200, "font/woff2", "f", ""},
		{plain, "/LOGO.SVG", 200, "image/svg+xml", "<svg/>", ""},
		{plain, "/data", 200, "text/plain; charset=utf-8", "plain words", ""},
		{plain, "/empty/", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{plain, "/none", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{plain, "/../../etc/passwd", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{plain, "/a/%00", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{spa, "/orders/7", 200, "text/html; charset=utf-8", "<p>home", ""},
		{spa, "/gone.js", 404, "text/plain; charset=utf-8", "there is no such page\n", ""},
		{spa, "/a/b.txt", 200, "text/plain; charset=utf-8", "bee", ""},
	}
	for _, test := range tests {
		got := get(test.handler, "GET", test.target)
		if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.kind || got.Header.Get("Location") != test.location {
			t.Errorf("%s: %d %q %q", test.target, got.StatusCode, got.Header.Get("Content-Type"), got.Header.Get("Location"))
		}
		if text := body(t, got); text != test.body {
			t.Errorf("%s answers %q, want %q", test.target, text, test.body)
		}
	}
	if got := get(plain, "POST", "/"); got.StatusCode != 405 || got.Header.Get("Allow") == "" {
		t.Errorf("POST: %d", got.StatusCode)
	}
	if got := get(plain, "HEAD", "/a/b.txt"); got.StatusCode != 200 || got.ContentLength != 3 && got.Header.Get("Content-Length") != "3" {
		t.Errorf("HEAD: %d, length %d", got.StatusCode, got.ContentLength)
	}
}

func TestOwnPageForWhatIsMissing(t *testing.T) {
	h := serve(t, site(t, map[string]string{"404.html": "<p>lost"}), false)
	if got := get(h, "GET", "/none"); got.StatusCode != 404 || body(t, got) != "<p>lost" || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %q", got.StatusCode, got.Header.Get("Content-Type"))
	}
}

func TestValidators(t *testing.T) {
	dir := site(t, files)
	h := serve(t, dir, false)
	first := get(h, "GET", "/a/b.txt")
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Last-Modified") != "" {
		t.Fatalf("ETag %q, Last-Modified %q: of the time 0 there is none", etag, first.Header.Get("Last-Modified"))
	}
	if got := get(h, "GET", "/a/b.txt", "If-None-Match", etag); got.StatusCode != 304 {
		t.Errorf("what the browser has is sent again: %d", got.StatusCode)
	}
	if got := get(h, "GET", "/a/b.txt", "Range", "bytes=1-"); got.StatusCode != 206 || body(t, got) != "ee" {
		t.Errorf("a range: %d", got.StatusCode)
	}
	if got := get(h, "GET", "/a/b.txt", "Range", "bytes=9-"); got.StatusCode != 416 {
		t.Errorf("a range behind the end: %d", got.StatusCode)
	}
	// A file that is synced into the container has a time.
	if err := os.WriteFile(filepath.Join(dir, "a/b.txt"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := get(h, "GET", "/a/b.txt", "If-None-Match", etag)
	if got.StatusCode != 200 || body(t, got) != "new" || got.Header.Get("ETag") == etag || got.Header.Get("Last-Modified") == "" {
		t.Errorf("a changed file: %d, ETag %s", got.StatusCode, got.Header.Get("ETag"))
	}
}

// A link that leads out of the folder is not followed.
func TestNothingOutside(t *testing.T) {
	dir := site(t, files)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	if got := get(serve(t, dir, false), "GET", "/passwd"); got.StatusCode == 200 {
		t.Error("a file outside was served")
	}
}
