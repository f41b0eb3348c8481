package events

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// readerBuffer is how many events a reader may lag behind before it is dropped. A developer's burst is a
// dozen; the figure allows for the push of a whole bundle of images.
const readerBuffer = 512

// Hub hands every published event to every reader. A reader that does not keep up is dropped, so that a push
// never waits for one. Its methods may be called from several goroutines.
type Hub struct {
	mu       sync.Mutex
	readers  map[*reader]struct{}
	instance string
	sequence uint64
	closed   bool
}

type reader struct{ events chan Event }

// NewHub returns a Hub without readers.
func NewHub() *Hub {
	return &Hub{
		readers:  map[*reader]struct{}{},
		instance: strconv.FormatInt(time.Now().UnixNano(), 36),
	}
}

// Publish numbers the event and gives it to every reader. It never blocks. A zero Time becomes now.
func (h *Hub) Publish(event Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.sequence++
	event.ID = fmt.Sprintf("%s-%d", h.instance, h.sequence)
	if event.Time.IsZero() {
		event.Time = time.Now().UTC()
	}
	for r := range h.readers {
		select {
		case r.events <- event:
		default:
			h.remove(r)
		}
	}
}

// Subscribe returns the events published from now on, and a function that ends the subscription. The channel
// is closed when the reader was too slow and when the hub is closed.
func (h *Hub) Subscribe() (<-chan Event, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &reader{events: make(chan Event, readerBuffer)}
	if h.closed {
		close(r.events)
		return r.events, func() {}
	}
	h.readers[r] = struct{}{}
	return r.events, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.remove(r)
	}
}

// Readers is how many subscriptions are open.
func (h *Hub) Readers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers)
}

// Close ends every subscription; later events go nowhere. Twice is fine.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.readers {
		h.remove(r)
	}
}

// remove closes r's channel once; the caller holds the lock.
func (h *Hub) remove(r *reader) {
	if _, open := h.readers[r]; !open {
		return
	}
	delete(h.readers, r)
	close(r.events)
}
