package controller

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/internal/supplychain/realize"
)

// TestEveryEventIsTold tells events that differ only in their text, one of them twice and one of them too long.
func TestEveryEventIsTold(t *testing.T) {
	b := newBench(t)
	b.apply(demo)
	workload := b.workload("demo")
	events, err := newTeller(apiServer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tell := func(note string) {
		events.tell(workload, "Workload", "Realize", realize.Event{Reason: realize.EventStampedObjectApplied, Message: note})
	}
	long := strings.Repeat("ä", 600)
	for _, note := range []string{"Created object [configmaps/a]", "Created object [configmaps/b]", "Created object [configmaps/a]", long} {
		tell(note)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- events.Start(ctx) }()
	want := map[string]int32{"Created object [configmaps/a]": 2, "Created object [configmaps/b]": 1, shortened(long): 1}
	var got map[string]int32
	b.eventually("all are there", func() bool {
		got = map[string]int32{}
		var list eventsv1.EventList
		if err := b.client.List(t.Context(), &list, client.InNamespace(b.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			if event.Regarding.Name != "demo" || event.Regarding.UID != workload.UID || event.Regarding.Kind != "Workload" {
				t.Errorf("event regards %+v", event.Regarding)
			}
			got[event.Note] = 1
			if event.Series != nil {
				got[event.Note] = event.Series.Count
			}
		}
		return cmp.Equal(got, want)
	}, func() any { return got })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Start = %v", err)
	}
}

// TestTellingNeverWaits : while nobody writes events, those for which there is no room are dropped and counted.
func TestTellingNeverWaits(t *testing.T) {
	events := &teller{untold: make(chan *told, 2)}
	for range 5 {
		events.tell(supplyChains().newOwner(), "Workload", "Realize", realize.Event{})
	}
	if waiting, dropped := len(events.untold), events.dropped.Load(); waiting != 2 || dropped != 3 {
		t.Errorf("%d wait, %d dropped", waiting, dropped)
	}
}

func TestShortened(t *testing.T) {
	for _, test := range []struct {
		note string
		fits bool
	}{{strings.Repeat("x", longestNote), true}, {strings.Repeat("x", longestNote+1), false}, {strings.Repeat("ä", longestNote), false}} {
		got := shortened(test.note)
		if len(got) > longestNote || !utf8.ValidString(got) || (got == test.note) != test.fits || len(got) < longestNote-8 {
			t.Errorf("%d bytes became %d, ending in %q", len(test.note), len(got), got[max(0, len(got)-8):])
		}
	}
}

// TestEventsWaitForTheAPIServer has an event told while the API server asks to come again, and drops one that is wrong.
func TestEventsWaitForTheAPIServer(t *testing.T) {
	var asked, made atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusUnprocessableEntity)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			made.Add(1)
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer server.Close()
	events, err := newTeller(&rest.Config{Host: server.URL}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	owner := supplyChains().newOwner()
	owner.SetName("demo")
	owner.SetNamespace("default")
	for _, note := range []string{"wrong", "early"} {
		events.tell(owner, "Workload", "Realize", realize.Event{Message: note})
	}
	events.write(t.Context(), <-events.untold)
	if made.Load() != 0 || asked.Load() != 1 {
		t.Errorf("after what is wrong: asked %d times, made %d", asked.Load(), made.Load())
	}
	events.write(t.Context(), <-events.untold)
	if made.Load() != 1 || asked.Load() != 3 {
		t.Errorf("after what was early: asked %d times, made %d", asked.Load(), made.Load())
	}
}
