package events

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHubDropsTheSlowReaderOnly(t *testing.T) {
	hub := NewHub()
	slow, _ := hub.Subscribe()
	for range readerBuffer + 1 {
		hub.Publish(Event{Action: Push})
	}
	got := 0
	for range slow {
		got++
	}
	if got != readerBuffer {
		t.Errorf("the slow reader got %d events before it was dropped, want %d", got, readerBuffer)
	}
	fresh, leave := hub.Subscribe()
	hub.Publish(Event{Action: Delete})
	if event := <-fresh; event.Action != Delete || event.ID == "" || event.Time.IsZero() {
		t.Errorf("event = %+v, want a numbered and timed delete", event)
	}
	leave()
	leave()
	if n := hub.Readers(); n != 0 {
		t.Errorf("%d readers left, want 0", n)
	}
	hub.Close()
	hub.Close()
	if _, open := <-first(hub.Subscribe()); open {
		t.Error("a closed hub handed out an open subscription")
	}
}

func first(events <-chan Event, _ func()) <-chan Event { return events }

func TestFollowReconnectsAndTellsSo(t *testing.T) {
	hub := NewHub()
	server := httptest.NewServer(hub)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	var log []string
	err := Follow(ctx, server.URL, nil, Handler{
		Connected: func() {
			log = append(log, "connected")
			hub.Publish(Event{Action: Push, Repository: "apps/demo", Tag: "latest"})
		},
		Event: func(event Event) {
			log = append(log, event.Action+" "+event.Repository+":"+event.Tag)
			if len(log) >= 5 {
				cancel()
				return
			}
			server.CloseClientConnections()
		},
		Disconnected: func(error) { log = append(log, "disconnected") },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want context.Canceled", err)
	}
	want := []string{"connected", "push apps/demo:latest", "disconnected", "connected", "push apps/demo:latest"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("calls differ (-want +got):\n%s", diff)
	}
}

func TestFollowWithoutStream(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if err := Follow(t.Context(), server.URL, nil, Handler{}); !errors.Is(err, ErrNoStream) {
		t.Errorf("Follow = %v, want ErrNoStream", err)
	}
}

func TestFollowReportsWhatItCannotReach(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries := 0
	err := Follow(ctx, "http://127.0.0.1:1/", nil, Handler{Unreachable: func(err error) {
		if tries++; tries == 2 {
			cancel()
		}
		if err == nil {
			t.Error("Unreachable without a reason")
		}
	}})
	if !errors.Is(err, context.Canceled) || tries != 2 {
		t.Errorf("Follow = %v after %d tries, want context.Canceled after 2", err, tries)
	}
}

func TestStreamEndsWhenTheHubCloses(t *testing.T) {
	hub := NewHub()
	server := httptest.NewServer(hub)
	defer server.Close()
	connected, err := readOnce(t.Context(), server.URL, server.Client(), Handler{Connected: hub.Close})
	if !connected || err == nil {
		t.Errorf("readOnce = %v, %v; want an open stream that ended with a reason", connected, err)
	}
}

func TestStreamRefusesOtherMethods(t *testing.T) {
	recorder := httptest.NewRecorder()
	NewHub().ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, Path, nil))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d, want 405", recorder.Code)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("id: a-1\ndata: {\"action\":\"push\"}\n\n")
	f.Add(": still here\r\n\r\ndata: {}\r\n\r\n")
	f.Add("data: {\ndata: }\n\n")
	f.Add("data\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		lines, got := 0, 0
		_ = decode(strings.NewReader(stream), func() { lines++ }, func(Event) { got++ })
		if got > lines {
			t.Errorf("%d events from %d lines", got, lines)
		}
	})
}

func TestEncodeDecode(t *testing.T) {
	want := Event{ID: "x-1", Action: Push, Repository: "apps/demo", Tag: "v1", Digest: "sha256:abc", MediaType: "m", Time: time.Unix(1, 0).UTC()}
	var got []Event
	if err := decode(strings.NewReader(": connected\n\n"+encode(want)), func() {}, func(e Event) { got = append(got, e) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Event{want}, got); diff != "" {
		t.Errorf("round trip differs (-want +got):\n%s", diff)
	}
}
