// Package events carries word of what was pushed to the registry: a hub that the registry's server publishes
// to, the stream that it serves (server-sent events over HTTP), and a client that follows such a stream and
// reconnects. It knows nothing of images or of the registry's storage, and it does not replay: a reader that
// was away is told that it was (Handler.Connected) and looks for itself.
package events

import "time"

// Path is where a registry of slipway serves the stream.
const Path = "/slipway/v1/events"

// The actions that an Event reports.
const (
	Push   = "push"
	Delete = "delete"
)

// Event says that a manifest or a tag of a repository was pushed or deleted. It is sent after the change is
// visible to every reader of the registry.
type Event struct {
	// ID is unique among the events of one registry and changes its prefix when the registry restarts.
	ID string `json:"id"`
	// Action is Push or Delete.
	Action string `json:"action"`
	// Repository is the path inside the registry, without its host: apps/demo.
	Repository string `json:"repository"`
	// Tag is the tag that now points elsewhere or is gone. It is empty for a manifest named by its digest; a
	// Delete without a tag has also removed every tag that pointed to Digest.
	Tag string `json:"tag,omitempty"`
	// Digest is the manifest's digest; empty when a tag alone was deleted.
	Digest string `json:"digest,omitempty"`
	// MediaType is the manifest's media type; empty for a Delete.
	MediaType string `json:"mediaType,omitempty"`
	// Time is when the registry finished the change.
	Time time.Time `json:"time"`
}
