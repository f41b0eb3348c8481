package image

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/registry/events"
)

// newTestStream is a stream over a cluster with the given Images, called by their spec.image.
func newTestStream(t *testing.T, url string, images ...string) *stream {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	stream, err := newStream(nil, Options{
		EventsURL: url,
		Aliases:   map[string]string{"localhost:5000": strings.TrimPrefix(strings.TrimSuffix(url, events.Path), "http://")},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithIndex(&v1alpha1.Image{}, followedField, stream.index)
	for i, image := range images {
		object := newImage(image)
		object.Name = string(rune('a' + i))
		builder = builder.WithObjects(object)
	}
	stream.images = builder.Build()
	return stream
}

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestStreamWakesExactlyWhoFollows(t *testing.T) {
	hub := events.NewHub()
	server := httptest.NewServer(hub)
	defer server.Close()
	stream := newTestStream(t, server.URL+events.Path,
		"localhost:5000/apps/demo",                                // a
		"localhost:5000/apps/demo:v1",                             // b
		"localhost:5000/apps/other",                               // c
		"docker.io/apps/demo",                                     // d: another registry
		"localhost:5000/apps/demo@"+someDigest,                    // e: never changes
		"not an image",                                            // f
		strings.TrimPrefix(server.URL, "http://")+"/apps/demo:v1", // g: the registry's own name
	)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- stream.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	woken := func(n int) []string {
		names := make([]string, 0, n)
		for range n {
			names = append(names, (<-stream.wakes).Object.GetName())
		}
		return names
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "g"}, woken(4)); diff != "" {
		t.Errorf("connecting wakes (-want +got):\n%s", diff)
	}
	if !stream.connected.Load() {
		t.Error("not connected")
	}
	hub.Publish(events.Event{Action: events.Push, Repository: "apps/demo", Digest: someDigest}) // wakes nobody
	hub.Publish(events.Event{Action: events.Push, Repository: "apps/demo", Tag: "v1"})
	if diff := cmp.Diff([]string{"b", "g"}, woken(2)); diff != "" {
		t.Errorf("a push of v1 wakes (-want +got):\n%s", diff)
	}
	hub.Publish(events.Event{Action: events.Delete, Repository: "apps/demo", Digest: someDigest})
	if diff := cmp.Diff([]string{"a", "b", "g"}, woken(3)); diff != "" {
		t.Errorf("a delete by digest wakes (-want +got):\n%s", diff)
	}
	server.CloseClientConnections()
	// Losing the stream wakes everyone, so that polling begins; being back wakes everyone again.
	if diff := cmp.Diff([]string{"a", "b", "c", "g", "a", "b", "c", "g"}, woken(8)); diff != "" {
		t.Errorf("a broken connection wakes (-want +got):\n%s", diff)
	}
}

func TestStreamTells(t *testing.T) {
	stream := newTestStream(t, "http://slipway-registry:5000"+events.Path)
	covered, err := pull.Parse("localhost:5000/demo", stream.aliases)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pull.Parse("ghcr.io/demo", stream.aliases)
	if err != nil {
		t.Fatal(err)
	}
	if stream.tells(covered) {
		t.Error("a stream that is not connected tells")
	}
	stream.connected.Store(true)
	if !stream.tells(covered) || stream.tells(other) {
		t.Errorf("tells = %v, %v; want true for its registry alone", stream.tells(covered), stream.tells(other))
	}
	if stream = nil; stream.tells(covered) {
		t.Error("no stream tells")
	}
}

func TestNewStreamRefuses(t *testing.T) {
	for _, url := range []string{"slipway-registry:5000", "ftp://x/y", "http://", "http://%"} {
		if _, err := newStream(nil, Options{EventsURL: url}); err == nil {
			t.Errorf("newStream(%q) succeeded", url)
		}
	}
	if stream, err := newStream(nil, Options{}); stream != nil || err != nil {
		t.Errorf("newStream without a URL = %v, %v; want nothing", stream, err)
	}
}
