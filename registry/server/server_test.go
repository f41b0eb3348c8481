package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway.dev/slipway/registry/events"
	"slipway.dev/slipway/registry/server"
)

func TestMain(m *testing.M) {
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// start serves a registry over a new directory and returns its host and port.
func start(t *testing.T, options server.Options) string {
	t.Helper()
	options.Root = t.TempDir()
	registry, err := server.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(registry)
	t.Cleanup(func() {
		_ = registry.Close()
		web.Close()
	})
	return strings.TrimPrefix(web.URL, "http://")
}

func image(t *testing.T) (v1.Image, string) {
	t.Helper()
	made, err := random.Image(128, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return made, digest.String()
}

func tag(t *testing.T, reference string) name.Tag {
	t.Helper()
	parsed, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// follow returns the registry's events, once the stream is open.
func follow(t *testing.T, host string) <-chan events.Event {
	t.Helper()
	received, connected := make(chan events.Event, 16), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = events.Follow(ctx, "http://"+host+events.Path, nil, events.Handler{
			Connected: func() { close(connected) },
			Event:     func(event events.Event) { received <- event },
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-connected
	return received
}

func TestAPushIsToldWhenItIsVisible(t *testing.T) {
	host := start(t, server.Options{})
	received := follow(t, host)
	demo := tag(t, host+"/apps/manifests/demo:v1") // a repository may have any of the API's words in its name
	for range 20 {
		pushed, digest := image(t)
		written := make(chan error, 1)
		go func() { written <- remote.Write(demo, pushed) }()
		event := <-received
		head, err := remote.Head(demo)
		if err != nil {
			t.Fatal(err)
		}
		if head.Digest.String() != digest || event.Digest != digest {
			t.Fatalf("after the event of %s the tag is at %s, pushed was %s", event.Digest, head.Digest, digest)
		}
		want := events.Event{Action: events.Push, Repository: "apps/manifests/demo", Tag: "v1", Digest: digest, MediaType: string(head.MediaType)}
		if diff := cmp.Diff(want, event, cmpopts.IgnoreFields(events.Event{}, "ID", "Time")); diff != "" {
			t.Errorf("event differs (-want +got):\n%s", diff)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletesAreTold(t *testing.T) {
	host := start(t, server.Options{})
	pushed, digest := image(t)
	for _, reference := range []string{"/apps/demo:v1", "/apps/demo:v2"} {
		if err := remote.Write(tag(t, host+reference), pushed); err != nil {
			t.Fatal(err)
		}
	}
	received := follow(t, host)
	if err := remote.Delete(tag(t, host+"/apps/demo:v1")); err != nil {
		t.Fatal(err)
	}
	if event := <-received; event.Action != events.Delete || event.Tag != "v1" || event.Digest != "" {
		t.Errorf("event = %+v, want the delete of tag v1", event)
	}
	if err := remote.Delete(tag(t, host+"/apps/demo:v2").Context().Digest(digest)); err != nil {
		t.Fatal(err)
	}
	if event := <-received; event.Action != events.Delete || event.Tag != "" || event.Digest != digest {
		t.Errorf("event = %+v, want the delete of %s", event, digest)
	}
	if _, err := remote.Head(tag(t, host+"/apps/demo:v2")); err == nil {
		t.Error("the tag of a deleted manifest still resolves")
	}
}

func TestAnIndexMayLackChildren(t *testing.T) {
	host := start(t, server.Options{})
	child, _ := image(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: child})
	if err := remote.Put(tag(t, host+"/mirror/docker.io/library/partial:1"), index); err != nil {
		t.Fatalf("pushing an index whose child is elsewhere: %v", err)
	}
}

func TestAFailedPushIsNotTold(t *testing.T) {
	host := start(t, server.Options{})
	received := follow(t, host)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+host+"/v2/apps/demo/manifests/v1", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode < 400 {
		t.Errorf("an empty manifest was accepted: %s", response.Status)
	}
	pushed, digest := image(t)
	if err := remote.Write(tag(t, host+"/apps/demo:v1"), pushed); err != nil {
		t.Fatal(err)
	}
	if event := <-received; event.Digest != digest {
		t.Errorf("first event = %+v, want the good push of %s", event, digest)
	}
}

func TestPaths(t *testing.T) {
	on, off := start(t, server.Options{}), start(t, server.Options{NoEvents: true})
	tests := []struct {
		name, url string
		want      int
	}{
		{"health", on + server.HealthPath, http.StatusOK},
		{"api", on + "/v2/", http.StatusOK},
		{"no events", off + events.Path, http.StatusNotFound},
		{"other", on + "/slipway/v1/other", http.StatusNotFound},
		{"unknown image", on + "/v2/apps/demo/manifests/v1", http.StatusNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := get(t, "http://"+test.url); got != test.want {
				t.Errorf("GET %s = %d, want %d", test.url, got, test.want)
			}
		})
	}
}

func get(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestHealthSeesALostDirectory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "images")
	registry, err := server.New(t.Context(), server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	registry.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, server.HealthPath, nil))
	if recorder.Code != http.StatusServiceUnavailable {
		t.Errorf("health without a directory = %d, want 503", recorder.Code)
	}
}

func TestServeEndsWithAnOpenStream(t *testing.T) {
	registry, err := server.New(t.Context(), server.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	served := make(chan error, 1)
	go func() { served <- registry.Serve(ctx, listener) }()
	follow(t, listener.Addr().String())
	end()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	if _, err := server.New(t.Context(), server.Options{}); err == nil {
		t.Error("New without a root succeeded")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(t.Context(), server.Options{Root: file}); err == nil {
		t.Error("New over a file succeeded")
	}
}
