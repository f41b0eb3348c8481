package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// heartbeat keeps proxies from closing an idle stream and tells the reader that the registry lives.
	heartbeat = 15 * time.Second
	// writeTimeout frees the goroutine of a reader that has stopped reading altogether.
	writeTimeout = 10 * time.Second
)

// ServeHTTP streams the hub's events to the client until it goes away, falls too far behind or the hub is
// closed. The response's header is sent when the subscription is already in force: whatever is pushed after
// the client has seen it is in the stream.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	send := sender(w)
	if send(": connected\n\n") != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			err = send(": still here\n\n")
		case event, open := <-events:
			if !open {
				return
			}
			err = send(encode(event))
		}
		if err != nil {
			return
		}
	}
}

// sender returns a function that writes text to the client at once, or fails when that takes too long.
func sender(w http.ResponseWriter) func(string) error {
	control := http.NewResponseController(w)
	return func(text string) error {
		// A writer without deadlines (a test's recorder) is still served.
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return control.Flush()
	}
}

// encode is the event as a server-sent event: its id and one line of JSON.
func encode(event Event) string {
	data, err := json.Marshal(event)
	if err != nil {
		panic(fmt.Sprintf("encoding an event: %v", err)) // strings and a time always encode, but for a year above 9999
	}
	return fmt.Sprintf("id: %s\ndata: %s\n\n", event.ID, data)
}
