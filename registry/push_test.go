package registry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/server"
)

func TestMain(m *testing.M) {
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// local is a real registry over a folder, which can be emptied, ended and started again, and counts uploads.
type local struct {
	t       *testing.T
	root    string
	mutex   sync.Mutex
	handler *server.Server // nil: nobody answers
	uploads int
	onPatch func() // called once, before the first upload is answered; nil: nothing
}

func (l *local) start() {
	l.t.Helper()
	handler, err := server.New(l.t.Context(), server.Options{Root: l.root})
	if err != nil {
		l.t.Fatal(err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.handler = handler
}

// end makes the registry answer as one whose process has gone: it breaks the connection.
func (l *local) end() {
	l.mutex.Lock()
	handler := l.handler
	l.handler = nil
	l.mutex.Unlock()
	if handler != nil {
		_ = handler.Close()
	}
}

// empty loses all that was pushed, as a volume that was removed under the container does.
func (l *local) empty() {
	l.t.Helper()
	entries, err := os.ReadDir(l.root)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(l.root, entry.Name())); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *local) uploaded() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	uploads := l.uploads
	l.uploads = 0
	return uploads
}

func (l *local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mutex.Lock()
	var before func()
	if r.Method == http.MethodPatch {
		l.uploads++
		before, l.onPatch = l.onPatch, nil
	}
	l.mutex.Unlock()
	if before != nil {
		before()
	}
	l.mutex.Lock()
	handler := l.handler
	l.mutex.Unlock()
	if handler == nil {
		panic(http.ErrAbortHandler)
	}
	handler.ServeHTTP(w, r)
}

func newLocal(t *testing.T) (*local, name.Tag) {
	t.Helper()
	l := &local{t: t, root: t.TempDir()}
	l.start()
	web := httptest.NewServer(l)
	t.Cleanup(func() { web.Close(); l.end() })
	tag, err := name.NewTag(strings.TrimPrefix(web.URL, "http://") + "/apps/hello:latest")
	if err != nil {
		t.Fatal(err)
	}
	return l, tag
}

func randomImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(2048, layers)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	there, tag := newLocal(t)
	pusher := registry.NewPusher(nil)
	image := randomImage(t, 4)
	pushed, err := pusher.Push(t.Context(), image, tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := there.uploaded(); n != 5 || pushed.Bytes < 4*2048 {
		t.Errorf("the first push sent %d blobs, %d bytes; want 4 layers and the config", n, pushed.Bytes)
	}
	digest, _ := image.Digest()
	if pushed.Reference.DigestStr() != digest.String() || pushed.Reference.RepositoryStr() != "apps/hello" {
		t.Errorf("pushed as %s, want %s", pushed.Reference, digest)
	}

	layer, err := random.Layer(512, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := mutate.AppendLayers(image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pusher.Push(t.Context(), changed, tag, nil); err != nil {
		t.Fatal(err)
	}
	if n := there.uploaded(); n != 2 {
		t.Errorf("a push of one new layer sent %d blobs, want it and the config", n)
	}
	again, err := registry.NewPusher(nil).Push(t.Context(), changed, tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := there.uploaded(); n != 0 || again.Bytes != 0 {
		t.Errorf("a push of what is there sent %d blobs, %d bytes", n, again.Bytes)
	}
	head, err := remote.Head(tag)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := changed.Digest(); head.Digest != want {
		t.Errorf("the tag is %s, want %s", head.Digest, want)
	}
}

func TestPushToARegistryThatForgot(t *testing.T) {
	there, tag := newLocal(t)
	pusher := registry.NewPusher(nil)
	image := randomImage(t, 2)
	if _, err := pusher.Push(t.Context(), image, tag, nil); err != nil {
		t.Fatal(err)
	}
	there.empty()
	if _, err := pusher.Push(t.Context(), image, tag, nil); err != nil {
		t.Fatal(err)
	}
	assertWhole(t, tag, image)
}

func TestPushWithoutRegistry(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	tag, err := name.NewTag(address + "/apps/hello:latest")
	if err != nil {
		t.Fatal(err)
	}
	pusher := registry.NewPusher(nil)
	pusher.Patience = time.Millisecond
	_, err = pusher.Push(t.Context(), randomImage(t, 1), tag, nil)
	if err == nil || len(hint.Of(err)) == 0 {
		t.Errorf("got %v, want an error with a hint", err)
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	_, tag := newLocal(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := registry.NewPusher(nil).Push(ctx, randomImage(t, 1), tag, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPlain(t *testing.T) {
	original := randomImage(t, 2)
	plain, err := registry.Plain(original)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := plain.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%d layers, %v, want 2", len(layers), err)
	}
	before, err := original.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for i, layer := range layers {
		mediaType, _ := layer.MediaType()
		inside, _ := before[i].DiffID()
		if got, _ := layer.Digest(); got != inside || mediaType != types.OCIUncompressedLayer {
			t.Errorf("layer %d is %s %s, want the tar archive %s", i, mediaType, got, inside)
		}
	}
}

func TestPushGoesOnWhenTheRegistryRestarts(t *testing.T) {
	there, tag := newLocal(t)
	there.onPatch = func() {
		there.end()
		time.AfterFunc(200*time.Millisecond, there.start)
	}
	image := randomImage(t, 4)
	if _, err := registry.NewPusher(nil).Push(t.Context(), image, tag, nil); err != nil {
		t.Fatal(err)
	}
	assertWhole(t, tag, image)
}

// assertWhole checks that a tag is an image whose blobs can all be read.
func assertWhole(t *testing.T, tag name.Reference, want v1.Image) {
	t.Helper()
	pulled, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := pulled.Digest()
	if digest, _ := want.Digest(); got != digest {
		t.Errorf("%s is %s, want %s", tag, got, digest)
	}
	layers, err := pulled.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		blob, err := layer.Compressed()
		if err != nil {
			t.Fatalf("a layer is missing: %v", err)
		}
		if _, err := io.Copy(io.Discard, blob); err != nil {
			t.Error(err)
		}
		blob.Close()
	}
}

func TestPushMountsWhatAnotherRepositoryHas(t *testing.T) {
	there, tag := newLocal(t)
	pusher := registry.NewPusher(nil)
	image := randomImage(t, 3)
	if _, err := pusher.Push(t.Context(), image, tag, nil); err != nil {
		t.Fatal(err)
	}
	there.uploaded()
	other, err := name.NewTag(tag.RegistryStr() + "/apps/other:latest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pusher.Push(t.Context(), image, other, nil); err != nil {
		t.Fatal(err)
	}
	if n := there.uploaded(); n != 1 {
		t.Errorf("a push to another repository sent %d blobs, want the config alone", n)
	}
	assertWhole(t, other, image)
}

func TestPushTellsHowFarItIs(t *testing.T) {
	_, tag := newLocal(t)
	image, err := random.Image(6<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	var seen []registry.Progress
	pushed, err := registry.NewPusher(nil).Push(t.Context(), image, tag, func(p registry.Progress) {
		mutex.Lock()
		defer mutex.Unlock()
		seen = append(seen, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	last := seen[len(seen)-1]
	if len(seen) < 3 || last.Sent != pushed.Bytes || last.Total != pushed.Bytes || pushed.Bytes < 12<<20 {
		t.Errorf("%d updates, the last %+v, and %d bytes pushed", len(seen), last, pushed.Bytes)
	}
}
