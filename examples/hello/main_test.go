package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswer(t *testing.T) {
	for path, want := range map[string]string{"/": greeting + ", world!", "/any?name=crew": greeting + ", crew!"} {
		answer := httptest.NewRecorder()
		handler().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if body := answer.Body.String(); !strings.Contains(body, want) || !strings.Contains(body, version) {
			t.Errorf("%s answers %q, want %q and the version", path, body, want)
		}
	}
}

func TestServeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}
