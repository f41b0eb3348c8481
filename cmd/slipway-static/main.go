// Command slipway-static serves a folder over HTTP. It is the program in the images that slipway makes of sites; the
// layer that it is in ships inside slipway.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"slipway.dev/slipway/internal/staticserver"
)

func main() {
	log.SetFlags(0)
	folder := flag.String("root", "/www", "the folder to serve")
	spa := flag.Bool("spa", false, "answer paths that are no file with index.html")
	address := flag.String("addr", ":8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *folder, *address, *spa); err != nil {
		log.Fatal("slipway-static: ", err)
	}
}

// serve ends soon after ctx does, so that a rollout need not wait for the old pod.
func serve(ctx context.Context, folder, address string, spa bool) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	server := &http.Server{
		Addr: address, Handler: logged(staticserver.New(staticserver.Options{Root: root.FS(), SPA: spa})),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	log.Printf("serving %s on %s", folder, address)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// logged writes a line for each answer.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(seen, r)
		log.Printf("%d %s %s", seen.code, r.Method, r.URL.Path)
	})
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
