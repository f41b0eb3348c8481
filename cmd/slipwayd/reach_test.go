package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

func TestWaitForAPIServer(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(`{"major":"1","minor":"36"}`)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	if err := waitForAPIServer(t.Context(), &rest.Config{Host: server.URL}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if asked.Load() < 3 {
		t.Errorf("asked %d times, and was content", asked.Load())
	}
}

func TestWaitForAPIServerThatRefuses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	if err := waitForAPIServer(t.Context(), &rest.Config{Host: server.URL}, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("an answer is an answer: %v", err)
	}
}
