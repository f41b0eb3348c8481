package dev

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAwaitAnswer has an ingress that finds nobody behind it at first.
func TestAwaitAnswer(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "hello.default.localhost:8080" {
			t.Errorf("the host is %s", r.Host)
		}
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	if err := awaitAnswer(t.Context(), strings.TrimPrefix(server.URL, "http://"), "http://hello.default.localhost:8080/"); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestAnswered(t *testing.T) {
	for _, test := range []struct {
		status int
		after  time.Duration
		want   bool
	}{{200, 0, true}, {500, 0, true}, {302, 0, true}, {502, time.Minute, false}, {404, 0, false}, {404, strangeLimit, true}} {
		if got := answered(test.status, test.after); got != test.want {
			t.Errorf("%d after %s: %t", test.status, test.after, got)
		}
	}
}
