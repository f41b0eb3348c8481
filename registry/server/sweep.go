package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"slipway.dev/slipway/registry/contents"
	"slipway.dev/slipway/registry/events"
)

// contents answers with what there is.
func (s *Server) contents(w http.ResponseWriter, _ *http.Request) {
	held, err := s.store.holding()
	if err != nil {
		s.logger.Error("listing the contents", "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, held.listing())
}

// mostRequest bounds a request for a sweep: some hundred thousand digests.
const mostRequest = 16 << 20

// sweepRequested answers a request for a sweep, when it is over.
func (s *Server) sweepRequested(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "a sweep is asked for with application/json", http.StatusUnsupportedMediaType)
		return
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostRequest))
	decoder.DisallowUnknownFields() // what a newer client wants kept must not be overlooked
	var request contents.SweepRequest
	if err := decoder.Decode(&request); err != nil {
		http.Error(w, fmt.Sprintf("reading the request: %v", err), http.StatusBadRequest)
		return
	}
	if request.Budget < 0 || request.Grace < 0 {
		http.Error(w, "neither the budget nor the grace can be negative", http.StatusBadRequest)
		return
	}
	result, err := s.Sweep(r.Context(), request)
	if err != nil {
		s.logger.Error("sweeping", "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, result)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// Sweep removes what the request says. Pushes wait until it is over; pulls go on. When it is ended in the middle, by ctx or
// with the process, what is left is whole, and the next sweep goes on: an image's names go before the image, links before
// what they lead to.
func (s *Server) Sweep(ctx context.Context, request contents.SweepRequest) (*contents.SweepResult, error) {
	s.gate.sweeping.Lock()
	defer s.gate.sweeping.Unlock()
	began := time.Now()
	held, err := s.store.holding()
	if err != nil {
		return nil, err
	}
	horizon := began.Add(-time.Duration(request.Grace) * time.Second)
	decided := newPlan(held, request, func(digest string, written time.Time) bool {
		return written.After(horizon) || s.gate.askedAfter(digest, horizon)
	})
	if !request.DryRun {
		if err := s.perform(ctx, decided); err != nil {
			return nil, err
		}
		s.gate.expire(horizon)
		s.logger.Info("swept", "images", len(decided.images), "blobs", len(decided.blobs), "freed", decided.freed, "used", decided.used, "took", time.Since(began))
	}
	result := &contents.SweepResult{Removed: []contents.Image{}, Blobs: len(decided.blobs), Freed: decided.freed, Used: decided.used}
	for _, image := range decided.images {
		result.Removed = append(result.Removed, image.Image)
	}
	return result, nil
}

func (s *Server) perform(ctx context.Context, p *plan) error {
	for _, image := range p.images {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("sweeping: %w", err)
		}
		if err := s.removeImage(image); err != nil {
			return fmt.Errorf("removing %s@%s: %w", image.Repository, image.Digest, err)
		}
	}
	if err := s.removeLinks(p.blobs); err != nil {
		return err
	}
	for _, digest := range p.blobs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("sweeping: %w", err)
		}
		if err := os.RemoveAll(s.store.blobDir(digest)); err != nil {
			return fmt.Errorf("removing blob %s: %w", digest, err)
		}
		s.store.forget(digest)
	}
	return nil
}

// removeImage removes a manifest from its repository: the tags that mean it, what tags remember of it, and it.
func (s *Server) removeImage(image *heldImage) error {
	for _, tag := range image.Tags {
		if err := os.RemoveAll(s.store.tagDir(image.Repository, tag)); err != nil {
			return err
		}
		s.publish(events.Event{Action: events.Delete, Repository: image.Repository, Tag: tag})
	}
	name, ok := hexOf(image.Digest)
	if !ok {
		return errors.New("it is no digest")
	}
	remembered, err := filepath.Glob(filepath.Join(s.store.repositoryDir(image.Repository), "_manifests", "tags", "*", "index", algorithm, name))
	if err != nil {
		return err
	}
	for _, path := range append(remembered, s.store.revisionDir(image.Repository, image.Digest)) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	s.publish(events.Event{Action: events.Delete, Repository: image.Repository, Digest: image.Digest})
	return nil
}

// removeLinks takes blobs out of all repositories.
func (s *Server) removeLinks(blobs []string) error {
	if len(blobs) == 0 {
		return nil
	}
	going := map[string]bool{}
	for _, digest := range blobs {
		going[digest] = true
	}
	repositories, err := s.store.repositoriesWith("_layers")
	if err != nil {
		return err
	}
	for _, repository := range repositories {
		links, err := s.store.layerLinks(repository)
		if err != nil {
			return err
		}
		for _, digest := range links {
			if !going[digest] {
				continue
			}
			if err := os.RemoveAll(s.store.layerLinkDir(repository, digest)); err != nil {
				return fmt.Errorf("removing blob %s from %s: %w", digest, repository, err)
			}
		}
	}
	return nil
}

func (s *Server) publish(event events.Event) {
	event.Time = time.Now().UTC()
	if s.hub != nil {
		s.hub.Publish(event)
	}
}
