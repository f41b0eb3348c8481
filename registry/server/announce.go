package server

import (
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"slipway.dev/slipway/registry/events"
)

// announce publishes an event for each manifest that next stores or deletes. It watches the HTTP exchange and
// not distribution's own notifications, because those are sent between storing the manifest and moving the
// tag: a reader that resolves the tag at once would find the old digest.
func (s *Server) announce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, changes := change(r)
		if !changes {
			next.ServeHTTP(w, r)
			return
		}
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.status < 200 || seen.status > 299 {
			return
		}
		if event.Action == events.Push {
			event.Digest = w.Header().Get("Docker-Content-Digest")
			event.MediaType = r.Header.Get("Content-Type")
		}
		s.publish(event)
		s.logger.Info("registry changed", "action", event.Action, "repository", event.Repository, "tag", event.Tag, "digest", event.Digest)
	})
}

// change says what r would change if it succeeds: the event without what only the response tells.
func change(r *http.Request) (events.Event, bool) {
	var event events.Event
	switch r.Method {
	case http.MethodPut:
		event.Action = events.Push
	case http.MethodDelete:
		event.Action = events.Delete
	default:
		return event, false
	}
	path, found := strings.CutPrefix(r.URL.Path, "/v2/")
	if !found {
		return event, false
	}
	const separator = "/manifests/"
	at := strings.LastIndex(path, separator)
	if at < 1 {
		return event, false
	}
	reference := path[at+len(separator):]
	if reference == "" || strings.Contains(reference, "/") {
		return event, false
	}
	event.Repository = path[:at]
	if _, err := digest.Parse(reference); err == nil {
		event.Digest = reference
	} else {
		event.Tag = reference
	}
	return event, true
}

// statusWriter remembers the status of the response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController find the real writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
