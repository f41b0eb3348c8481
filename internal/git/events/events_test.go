package events_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway.dev/slipway/internal/git/events"
	stream "slipway.dev/slipway/registry/events"
)

func TestFollow(t *testing.T) {
	hub := stream.NewHub()
	web := httptest.NewServer(hub)
	defer web.Close()
	defer hub.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	want := []events.Event{
		{Repository: "team/app", Ref: "refs/heads/main", Commit: "0123456789012345678901234567890123456789"},
		{Repository: "team/app", Ref: "refs/heads/gone"},
	}
	var got []events.Event
	err := events.Follow(ctx, web.URL, nil, events.Handler{
		Connected: func() {
			for _, event := range want {
				events.Publish(hub, event)
			}
		},
		Event: func(event events.Event) {
			if got = append(got, event); len(got) == len(want) {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(events.Event{}, "Time")); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	for _, event := range got {
		if event.Time.IsZero() {
			t.Errorf("%+v has no time", event)
		}
	}
}
