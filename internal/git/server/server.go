// Package server is slipway's git server: bare repositories in a directory, over git's smart HTTP protocol (versions 0
// and 1; a client that prefers version 2 is answered in 0, as the protocol has it). It does what a stock git client asks
// of a server (clone, fetch, push, --depth), creates a repository on its first push, and tells of every push in an event
// stream. It speaks plain HTTP and checks no credentials, so whoever runs it binds it to loopback or to a network of its
// own. The container that it runs in is package internal/git/container's.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"slipway.dev/slipway/internal/git/contents"
	"slipway.dev/slipway/internal/git/events"
	"slipway.dev/slipway/internal/git/pack"
	stream "slipway.dev/slipway/registry/events"
)

// HealthPath answers 200 when the server can serve, 503 with the reason when it cannot.
const HealthPath = "/slipway/v1/healthz"

const (
	// drain is how long requests in flight may go on after the server is told to end.
	drain = 1500 * time.Millisecond
	// DefaultMaxPush is the largest pack, in bytes, that one push may send.
	DefaultMaxPush = 1 << 30
	// DefaultMaxUnpacked is how many bytes all versions of all files that one push sends may have.
	DefaultMaxUnpacked = 16 << 30
	// DefaultMaxObjects is how many files, folders and commits one push may send. What a request remembers of each has
	// to fit into the container's memory.
	DefaultMaxObjects = 1_000_000
)

// Options says what a Server serves.
type Options struct {
	// Root is the directory that holds the repositories. It is made when it does not exist.
	Root string
	// MaxPush is the largest pack in bytes that one push may send; 0 means DefaultMaxPush.
	MaxPush int64
	// MaxUnpacked is how many bytes the objects of that pack may have, unpacked; 0 means DefaultMaxUnpacked.
	MaxUnpacked int64
	// MaxObjects is how many they may be; 0 means DefaultMaxObjects.
	MaxObjects int64
	// Logger gets a line per push, and what goes wrong; nil discards.
	Logger *slog.Logger
}

// Server serves the repositories of one directory. One process may serve a directory at a time.
type Server struct {
	root    string
	limits  pack.Limits // of one push
	repos   *repositories
	hub     *stream.Hub
	logger  *slog.Logger
	handler http.Handler
}

// New returns a server over options.Root, ready to serve, and removes what pushes that were killed have left there.
// Close it when it is no longer needed; Serve does that itself.
func New(options Options) (*Server, error) {
	if options.Root == "" {
		return nil, errors.New("a git server needs a root directory")
	}
	if err := os.MkdirAll(options.Root, 0o755); err != nil {
		return nil, fmt.Errorf("making the git server's directory: %w", err)
	}
	limits := pack.Limits{
		Packed:   cmp.Or(options.MaxPush, DefaultMaxPush),
		Unpacked: cmp.Or(options.MaxUnpacked, DefaultMaxUnpacked),
		Objects:  cmp.Or(options.MaxObjects, DefaultMaxObjects),
	}
	server := &Server{root: options.Root, limits: limits, repos: newRepositories(options.Root), hub: stream.NewHub(), logger: options.Logger}
	if server.logger == nil {
		server.logger = slog.New(slog.DiscardHandler)
	}
	if err := writable(options.Root); err != nil {
		return nil, fmt.Errorf("opening the repositories in %s: %w", options.Root, err)
	}
	if err := server.repos.recover(); err != nil {
		return nil, fmt.Errorf("opening the repositories in %s: %w", options.Root, err)
	}
	server.handler = server.routes()
	return server, nil
}

// writable says so at the start when the directory is somebody else's, and not at the first push.
func writable(root string) error {
	probe, err := os.CreateTemp(root, ".probe-")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+HealthPath, s.health)
	mux.Handle(events.Path, s.hub)
	mux.HandleFunc("GET "+contents.Path, s.list)
	mux.HandleFunc("GET "+contents.LogPath, s.log)
	mux.Handle("/slipway/v1/", http.NotFoundHandler())
	mux.HandleFunc("/", s.git)
	return mux
}

// ServeHTTP answers one request: git's, the event stream's, a listing's or the health check's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// health looks at the directory, which is what fails when a volume is lost.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if _, err := os.Stat(s.root); err != nil {
		http.Error(w, fmt.Sprintf("the git server's directory: %v", err), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// Serve answers on listener until ctx ends, then lets requests in flight finish for up to 1.5 s, closes the rest and the
// server. It returns nil after such an end, else what broke.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	httpServer := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	s.logger.Info("git server is serving", "address", listener.Addr().String(), "root", s.root)

	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving git: %w", err)
	case <-ctx.Done():
		s.hub.Close() // its streams would never end by themselves
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if httpServer.Shutdown(grace) != nil {
			_ = httpServer.Close()
		}
		<-failed
		s.logger.Info("git server has ended")
	}
	s.Close()
	return err
}

// Close ends the event streams and waits for housekeeping to end.
func (s *Server) Close() {
	s.hub.Close()
	s.repos.wait()
}
