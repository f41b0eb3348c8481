// Package server is slipway's image registry: distribution as a library, over a directory, with what that lacks beside
// it: referrers, a stream of push events, a listing, sweeps that pushes can go on beside, and a health check. It speaks plain HTTP and checks no credentials, so whoever runs
// it binds it to loopback or to a network of its own. The container that it runs in is package registry's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the only storage we use

	"slipway.dev/slipway/registry/contents"
	"slipway.dev/slipway/registry/events"
)

// HealthPath answers 200 when the registry can serve, 503 with the reason when it cannot.
const HealthPath = "/slipway/v1/healthz"

// drain is how long requests in flight may go on after the server is told to end.
const drain = 1500 * time.Millisecond

// Options says what a Server serves.
type Options struct {
	// Root is the directory that holds the images. It is made when it does not exist.
	Root string
	// NoEvents turns the stream of push events off: its path answers 404.
	NoEvents bool
	// Logger gets a line per push and delete, and what goes wrong; nil discards.
	Logger *slog.Logger
}

// Server is a registry over one directory.
type Server struct {
	root    string
	store   *store
	gate    *gate
	app     *handlers.App
	hub     *events.Hub // nil without events
	logger  *slog.Logger
	handler http.Handler
}

// New returns a registry over options.Root, ready to serve. Close it when it is no longer needed; Serve does
// that itself.
func New(ctx context.Context, options Options) (*Server, error) {
	if options.Root == "" {
		return nil, errors.New("a registry needs a root directory")
	}
	if err := os.MkdirAll(options.Root, 0o755); err != nil {
		return nil, fmt.Errorf("making the registry's directory: %w", err)
	}
	server := &Server{root: options.Root, store: newStore(options.Root), gate: newGate(time.Now()), logger: options.Logger}
	if server.logger == nil {
		server.logger = slog.New(slog.DiscardHandler)
	}
	if !options.NoEvents {
		server.hub = events.NewHub()
	}
	// The app ends with Close, not with ctx: requests in flight are to finish when ctx has ended.
	app, err := newApp(context.WithoutCancel(ctx), options.Root)
	if err != nil {
		return nil, fmt.Errorf("opening the registry in %s: %w", options.Root, err)
	}
	server.app = app
	server.handler = server.routes()
	return server, nil
}

// newApp makes distribution's handler. It reports bad configuration by panicking, and so does an unusable
// directory; both become errors here.
func newApp(ctx context.Context, root string) (app *handlers.App, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%v", reason)
		}
	}()
	return handlers.NewApp(ctx, configure(root)), nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+HealthPath, s.health)
	if s.hub != nil {
		mux.Handle(events.Path, s.hub)
	}
	mux.HandleFunc("GET "+contents.Path, s.contents)
	mux.HandleFunc("POST "+contents.SweepPath, s.sweepRequested)
	// Without a pattern of its own "/slipway/" would reach distribution, which knows only /v2/.
	mux.Handle("/slipway/", http.NotFoundHandler())
	mux.Handle("/", s.withReferrers(s.guarded(s.announce(s.app))))
	return mux
}

// ServeHTTP answers one request: the registry's API, the event stream or the health check.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// health looks at the directory, which is what fails when a volume is lost.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if _, err := os.Stat(s.root); err != nil {
		http.Error(w, fmt.Sprintf("the registry's directory: %v", err), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// Serve answers on listener until ctx ends, then lets requests in flight finish for up to 1.5 s, closes the
// rest and the server. It returns nil after such an end, else what broke.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	httpServer := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	s.logger.Info("registry is serving", "address", listener.Addr().String(), "root", s.root, "events", s.hub != nil)

	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving the registry: %w", err)
	case <-ctx.Done():
		s.endStreams() // they would never end by themselves
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if httpServer.Shutdown(grace) != nil {
			_ = httpServer.Close()
		}
		<-failed
		s.logger.Info("registry has ended")
	}
	return errors.Join(err, s.Close())
}

func (s *Server) endStreams() {
	if s.hub != nil {
		s.hub.Close()
	}
}

// Close ends the event streams and distribution's own goroutines.
func (s *Server) Close() error {
	s.endStreams()
	if err := s.app.Shutdown(); err != nil {
		return fmt.Errorf("closing the registry: %w", err)
	}
	return nil
}
