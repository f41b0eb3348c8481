// Package events carries word of what was pushed to the git server. The stream is the registry's, in format and in
// behaviour: package registry/events holds the hub, the reconnecting and the rules, and here is only what an event says
// about git.
package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	stream "slipway.dev/slipway/registry/events"
)

// Path is where the git server serves the stream.
const Path = stream.Path

// ErrNoStream means that the server answers and has no such stream: asking at an interval is the only way.
var ErrNoStream = stream.ErrNoStream

// Event says that a reference of a repository has moved. It is sent after every reader can see that.
type Event struct {
	// Repository is its name on the server, without .git: slipway/config.
	Repository string
	// Ref is the full name of what moved: refs/heads/main.
	Ref string
	// Commit is where it is now, 40 hexadecimal digits; empty when it was deleted.
	Commit string
	// Time is when it moved.
	Time time.Time
}

const algorithm = "sha1:"

// Publish tells every reader of the hub.
func Publish(hub *stream.Hub, event Event) {
	sent := stream.Event{Action: stream.Push, Repository: event.Repository, Tag: event.Ref}
	if event.Commit == "" {
		sent.Action = stream.Delete
	} else {
		sent.Digest = algorithm + event.Commit
	}
	hub.Publish(sent)
}

// Handler is what Follow calls, one call at a time and from one goroutine. Any of the functions may be nil.
type Handler struct {
	// Connected is called each time the stream opens, before its first Event. Events may have been missed before
	// it, none are missed after it.
	Connected func()
	// Disconnected is called when an open stream has ended, with the reason.
	Disconnected func(error)
	// Unreachable is called when an attempt to connect has failed, with the reason.
	Unreachable func(error)
	// Event is called for each event, in the server's order.
	Event func(Event)
}

// Follow reads the stream at url until ctx ends and reconnects whenever it breaks. It returns ErrNoStream when the
// server says 404, else only ctx's error. The client must not have a Timeout; nil means one without.
func Follow(ctx context.Context, url string, client *http.Client, handler Handler) error {
	return stream.Follow(ctx, url, client, stream.Handler{
		Connected: handler.Connected, Disconnected: handler.Disconnected, Unreachable: handler.Unreachable,
		Event: func(event stream.Event) {
			if handler.Event != nil {
				handler.Event(Event{Repository: event.Repository, Ref: event.Tag, Commit: strings.TrimPrefix(event.Digest, algorithm), Time: event.Time})
			}
		},
	})
}
