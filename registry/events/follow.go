package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// firstPause and maxPause bound the wait between two attempts to connect. A registry that is restarted
	// is back in about a second, and a reader should not be the reason that it takes longer to be noticed.
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
	// silence is how long a stream may say nothing, not even a heartbeat, before it is taken for dead.
	silence = 3 * heartbeat
)

// ErrNoStream means that the registry answers and has no such stream (404): polling is the only way.
var ErrNoStream = errors.New("the registry has no event stream")

// Handler is what Follow calls, one call at a time and from one goroutine. Any of the functions may be nil.
type Handler struct {
	// Connected is called each time the stream opens, before its first Event. Events may have been missed
	// before it, none are missed after it.
	Connected func()
	// Disconnected is called when an open stream has ended, with the reason.
	Disconnected func(error)
	// Unreachable is called when an attempt to connect has failed, with the reason.
	Unreachable func(error)
	// Event is called for each event, in the registry's order.
	Event func(Event)
}

// Follow reads the stream at url until ctx ends and reconnects whenever it breaks, after a pause that grows
// to 2 s. It returns ErrNoStream when the server says 404, else only ctx's error. The client must not
// have a Timeout, since that would end a healthy stream; nil means one without.
func Follow(ctx context.Context, url string, client *http.Client, handler Handler) error {
	if client == nil {
		client = &http.Client{}
	}
	pause := firstPause
	for {
		connected, err := readOnce(ctx, url, client, handler)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case connected:
			call(handler.Disconnected, err)
			pause = firstPause
		case errors.Is(err, ErrNoStream):
			return err
		default:
			call(handler.Unreachable, err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

func call(report func(error), err error) {
	if report != nil {
		report(err)
	}
}

// wait lets about d pass, at random between half of it and all of it: readers of a registry that came back
// should not all arrive at once.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// readOnce opens the stream and reads it to its end. connected tells whether it was open.
func readOnce(ctx context.Context, url string, client *http.Client, handler Handler) (connected bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() {
		cancel(fmt.Errorf("nothing was heard for %v", silence))
	})
	defer watchdog.Stop()

	response, err := get(ctx, url, client)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if handler.Connected != nil {
		handler.Connected()
	}
	emit := handler.Event
	if emit == nil {
		emit = func(Event) {}
	}
	err = decode(response.Body, func() { watchdog.Reset(silence) }, emit)
	if cause := context.Cause(ctx); cause != nil {
		return true, cause
	}
	if err == nil {
		err = io.ErrUnexpectedEOF // a stream has no proper end
	}
	return true, err
}

// get is the request for the stream; its response is one, or the error says what came instead.
func get(ctx context.Context, url string, client *http.Client) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", url, err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", url, err)
	}
	mediaType := response.Header.Get("Content-Type")
	switch {
	case response.StatusCode == http.StatusNotFound:
		err = ErrNoStream
	case response.StatusCode != http.StatusOK:
		err = fmt.Errorf("the server answered %s", response.Status)
	case !strings.HasPrefix(mediaType, "text/event-stream"):
		err = fmt.Errorf("the server answered with %q instead of an event stream", mediaType)
	default:
		return response, nil
	}
	response.Body.Close()
	return nil, fmt.Errorf("following %s: %w", url, err)
}
