package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/registry/events"
)

const (
	// followedField indexes Images by what they follow on the stream's registry: "repository:tag",
	// "repository" and everyone.
	followedField = "slipway.dev/followed"
	everyone      = "*"
	// noStreamPause is how long a registry that has no stream is left alone. It may be replaced by one that
	// has, which polling alone would never show.
	noStreamPause = 30 * time.Second
)

// stream turns the push events of one registry into wake-ups of the Images that follow what was pushed, and
// knows whether it is connected. It is a Runnable of the manager, run by the leader alone.
type stream struct {
	url       string
	host      string
	aliases   map[string]string
	images    client.Reader
	wakes     chan event.GenericEvent
	connected atomic.Bool
	logger    *slog.Logger
}

// newStream returns nil when no stream is configured.
func newStream(images client.Reader, options Options) (*stream, error) {
	if options.EventsURL == "" {
		return nil, nil
	}
	parsed, err := url.Parse(options.EventsURL)
	if err != nil {
		return nil, fmt.Errorf("reading the events URL: %w", err)
	}
	if parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return nil, fmt.Errorf("the events URL %q is not an http URL", options.EventsURL)
	}
	return &stream{
		url:     options.EventsURL,
		host:    parsed.Host,
		aliases: options.Aliases,
		images:  images,
		wakes:   make(chan event.GenericEvent),
		logger:  options.Logger,
	}, nil
}

// tells reports whether t's registry will tell of every change by itself, now. A nil stream tells nothing.
func (s *stream) tells(t pull.Target) bool {
	return s != nil && t.Registry() == s.host && s.connected.Load()
}

// index is the field index of Images: what an Image follows on the stream's registry.
func (s *stream) index(object client.Object) []string {
	image, is := object.(*v1alpha1.Image)
	if !is {
		return nil
	}
	t, err := pull.Parse(image.Spec.Image, s.aliases)
	if err != nil || t.Digest != "" || t.Registry() != s.host {
		return nil
	}
	repository := t.Asked.Context().RepositoryStr()
	return []string{followKey(repository, t.Asked.(name.Tag).TagStr()), repository, everyone}
}

// Start follows the stream until ctx ends.
func (s *stream) Start(ctx context.Context) error {
	transport := pull.NewTransport(s.aliases)
	defer transport.CloseIdleConnections()
	quiet := false // one line for each time that the registry goes away, not one for each attempt
	handler := events.Handler{
		Connected: func() {
			s.connected.Store(true)
			quiet = false
			s.logger.Info("following the registry's push events", "url", s.url)
			s.wake(ctx, everyone)
		},
		Disconnected: func(err error) {
			s.connected.Store(false)
			s.logger.Info("the registry's push events have ended; polling until they are back", "url", s.url, "reason", err)
			quiet = true
			s.wake(ctx, everyone)
		},
		Unreachable: func(err error) {
			if !quiet {
				s.logger.Warn("the registry's push events cannot be reached; polling until they can", "url", s.url, "reason", err)
				quiet = true
			}
		},
		Event: func(event events.Event) { s.wake(ctx, concerned(event)) },
	}
	for {
		err := events.Follow(ctx, s.url, &http.Client{Transport: transport}, handler)
		s.connected.Store(false)
		if !errors.Is(err, events.ErrNoStream) {
			return nil // ctx has ended
		}
		if !quiet {
			s.logger.Info("the registry has no push events; polling", "url", s.url)
			quiet = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(noStreamPause):
		}
	}
}

// concerned is the index value of the Images that event may change.
func concerned(event events.Event) string {
	if event.Tag != "" {
		return followKey(event.Repository, event.Tag)
	}
	if event.Action == events.Delete {
		return event.Repository // its tags are gone too
	}
	return "" // a manifest pushed by digest moves no tag
}

// wake makes the controller look at the Images that value concerns.
func (s *stream) wake(ctx context.Context, value string) {
	if value == "" {
		return
	}
	var list v1alpha1.ImageList
	if err := s.images.List(ctx, &list, client.MatchingFields{followedField: value}); err != nil {
		s.logger.Error("finding the images that a push concerns", "follow", value, "error", err)
		return
	}
	for i := range list.Items {
		select {
		case s.wakes <- wake(&list.Items[i]):
		case <-ctx.Done():
			return
		}
	}
}

// followKey is what an event of the registry and an Image that follows it have in common.
func followKey(repository, tag string) string { return repository + ":" + tag }
