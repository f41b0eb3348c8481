package registry_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/registry"
)

// memory is a registry in memory that can be emptied, and counts uploads.
type memory struct {
	mutex   sync.Mutex
	handler http.Handler
	uploads int
}

func (m *memory) empty() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.handler = ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0)))
}

func (m *memory) uploaded() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	uploads := m.uploads
	m.uploads = 0
	return uploads
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mutex.Lock()
	if r.Method == http.MethodPatch {
		m.uploads++
	}
	handler := m.handler
	m.mutex.Unlock()
	handler.ServeHTTP(w, r)
}

func newMemory(t *testing.T) (*memory, name.Tag) {
	t.Helper()
	m := &memory{}
	m.empty()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/apps/hello:latest")
	if err != nil {
		t.Fatal(err)
	}
	return m, tag
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
	server, tag := newMemory(t)
	pusher := registry.NewPusher(nil)
	image := randomImage(t, 4)
	pushed, err := pusher.Push(t.Context(), image, tag)
	if err != nil {
		t.Fatal(err)
	}
	if n := server.uploaded(); n != 5 || pushed.Bytes < 4*2048 {
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
	if _, err := pusher.Push(t.Context(), changed, tag); err != nil {
		t.Fatal(err)
	}
	if n := server.uploaded(); n != 2 {
		t.Errorf("a push of one new layer sent %d blobs, want it and the config", n)
	}
	again, err := registry.NewPusher(nil).Push(t.Context(), changed, tag)
	if err != nil {
		t.Fatal(err)
	}
	if n := server.uploaded(); n != 0 || again.Bytes != 0 {
		t.Errorf("a push of what is there sent %d blobs, %d bytes", n, again.Bytes)
	}
	there, err := remote.Head(tag)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := changed.Digest(); there.Digest != want {
		t.Errorf("the tag is %s, want %s", there.Digest, want)
	}
}

func TestPushToARegistryThatForgot(t *testing.T) {
	server, tag := newMemory(t)
	pusher := registry.NewPusher(nil)
	image := randomImage(t, 2)
	if _, err := pusher.Push(t.Context(), image, tag); err != nil {
		t.Fatal(err)
	}
	server.empty()
	if _, err := pusher.Push(t.Context(), image, tag); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := pulled.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		blob, err := layer.Compressed()
		if err != nil {
			t.Fatalf("a layer is missing after the second push: %v", err)
		}
		blob.Close()
	}
}

func TestPushWithoutRegistry(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	tag, err := name.NewTag(address + "/apps/hello:latest")
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.NewPusher(nil).Push(t.Context(), randomImage(t, 1), tag)
	if err == nil || len(hint.Of(err)) == 0 {
		t.Errorf("got %v, want an error with a hint", err)
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	_, tag := newMemory(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := registry.NewPusher(nil).Push(ctx, randomImage(t, 1), tag); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
