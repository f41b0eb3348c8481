// Package staticserver serves a folder over HTTP: what a site of files needs, and nothing else (no listings of folders,
// no compression, no TLS). It is what runs in the images of the static builder.
package staticserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Options say what is served. Root must be set.
type Options struct {
	Root fs.FS // its files must be io.ReadSeekers, as those of os.Root.FS are
	SPA  bool  // answer paths that are no file, and do not look like one, with index.html
}

// handler answers GET and HEAD with files.
type handler struct {
	Options
	mutex sync.Mutex
	tags  map[string]tag // by the file's path
}

// tag is what a file's content hashed to when it was of this size and time.
type tag struct {
	size int64
	time time.Time
	text string
}

// New returns a handler that is safe for concurrent use. Files may change while it serves them.
func New(o Options) http.Handler { return &handler{Options: o, tags: map[string]tag{}} }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are served", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache") // ask again each time; the ETag makes that cheap
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "."
	}
	if strings.Contains(name, "\x00") {
		h.missing(w, r, name, fs.ErrNotExist)
		return
	}
	info, err := fs.Stat(h.Root, name)
	switch {
	case err != nil:
		h.missing(w, r, name, err)
	case info.IsDir() && !strings.HasSuffix(r.URL.Path, "/"):
		to := path.Base(name) + "/" // relative, so that it holds behind any prefix
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", "./"+to)
		w.WriteHeader(http.StatusMovedPermanently)
	case info.IsDir():
		if err := h.serve(w, r, path.Join(name, "index.html")); err != nil {
			h.missing(w, r, name, err)
		}
	case strings.HasSuffix(r.URL.Path, "/"):
		h.missing(w, r, name, fs.ErrNotExist)
	default:
		if err := h.serve(w, r, name); err != nil {
			h.missing(w, r, name, err)
		}
	}
}

// missing answers for a path that is no file.
func (h *handler) missing(w http.ResponseWriter, r *http.Request, name string, err error) {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		http.Error(w, "this cannot be read", http.StatusInternalServerError)
		return
	}
	if h.SPA && path.Ext(name) == "" || h.SPA && name == "." {
		if h.serve(w, r, "index.html") == nil {
			return
		}
	}
	if page, err := fs.ReadFile(h.Root, "404.html"); err == nil {
		w.Header().Set("Content-Type", contentType("404.html"))
		w.WriteHeader(http.StatusNotFound)
		if r.Method == http.MethodGet {
			_, _ = w.Write(page)
		}
		return
	}
	http.Error(w, "there is no such page", http.StatusNotFound)
}

// serve answers with a file; its error says that nothing was written yet.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, name string) error {
	file, err := h.Root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	content, ok := file.(io.ReadSeeker)
	if !ok || !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	etag, err := h.tag(name, info, content)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag)
	if kind := contentType(name); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	// In an image all files are of the time 0, which ServeContent takes for none: a Last-Modified that never changes
	// would keep old pages in browsers.
	http.ServeContent(w, r, name, info.ModTime(), content)
	return nil
}

// tag is a strong ETag: a hash of the content, which is computed once for each size and time of a file.
func (h *handler) tag(name string, info fs.FileInfo, content io.ReadSeeker) (string, error) {
	h.mutex.Lock()
	known, found := h.tags[name]
	h.mutex.Unlock()
	if found && known.size == info.Size() && known.time.Equal(info.ModTime()) {
		return known.text, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text := `"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
	h.mutex.Lock()
	h.tags[name] = tag{size: info.Size(), time: info.ModTime(), text: text}
	h.mutex.Unlock()
	return text, nil
}

// types are those that Go does not know by itself where a system has no list of them, as images of ours do not.
var types = map[string]string{
	".csv": "text/csv; charset=utf-8", ".ico": "image/x-icon", ".map": "application/json", ".md": "text/markdown; charset=utf-8",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".otf": "font/otf", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8",
	".webm": "video/webm", ".webmanifest": "application/manifest+json", ".woff": "font/woff", ".woff2": "font/woff2", ".yaml": "application/yaml",
}

// contentType is the type by the file's name; "" leaves it to the content.
func contentType(name string) string {
	extension := strings.ToLower(path.Ext(name))
	if known, found := types[extension]; found {
		return known
	}
	return mime.TypeByExtension(extension)
}
