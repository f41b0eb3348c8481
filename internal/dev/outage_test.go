package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
)

func TestTransient(t *testing.T) {
	refused := &url.Error{Op: "Get", URL: "https://127.0.0.1:1", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{refused, true},
		{fmt.Errorf("pushing: %w", refused), true},
		{&url.Error{Op: "Put", Err: errors.New("http2: client connection lost")}, true},
		{&transport.Error{StatusCode: http.StatusBadGateway}, true},
		{&transport.Error{StatusCode: http.StatusUnauthorized}, false},
		{apierrors.NewServiceUnavailable("starting"), true},
		{apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no")), false},
		{&build.SourceError{Command: "go build", Output: "connection refused"}, false},
		{&ChainError{Stage: "pod", Message: "crashed"}, false},
		{context.Canceled, false},
		{fmt.Errorf("waiting: %w", ErrTimeout), false},
		{errNoAnswer, true},
		{&os.PathError{Op: "write", Err: syscall.ENOSPC}, false},
	} {
		if got := transient(test.err); got != test.want {
			t.Errorf("transient(%v) = %v", test.err, got)
		}
	}
}

func TestDiskFullHasAdvice(t *testing.T) {
	for _, err := range []error{
		&os.PathError{Op: "write", Path: "/tmp/x", Err: syscall.ENOSPC},
		fmt.Errorf("building: %w", &build.SourceError{Command: "go build .", Output: "mkdir /tmp/go-build1: no space left on device"}),
		&transport.Error{StatusCode: 500, Errors: []transport.Diagnostic{{Code: "UNKNOWN", Message: "write: no space left on device"}}},
		&ChainError{Stage: "pod", Message: "pod x: container y does not start: ErrImagePull: failed to pull: no space left on device"},
		&ChainError{Stage: "pod", Message: "pod x cannot be scheduled: 1 node had untolerated taint {node.kubernetes.io/disk-pressure: }"},
	} {
		if advice := strings.Join(hint.Of(explain(err)), ""); !strings.Contains(advice, "disk is full") {
			t.Errorf("%v: advice %q", err, advice)
		}
	}
	if err := errors.New("x"); len(hint.Of(explain(err))) > 0 {
		t.Error("another error has the advice, too")
	}
}

func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &ui.Recorder{}
		s := newRecord(recorder, 1, nil).start(t.Context(), "push", "Push")
		left := 3
		err := persist(t.Context(), s, "the registry", func() error {
			if left--; left > 0 {
				return errNoAnswer
			}
			return nil
		})
		s.done("")
		if err != nil || left != 0 {
			t.Errorf("%v, %d tries left", err, left)
		}
		want := []string{"start push", "update push: the registry does not answer; trying again (it takes connections and does not answer)", "done push"}
		if diff := cmp.Diff(want, recorder.Summary()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		err := persist(t.Context(), newRecord(ui.Discard(), 1, nil).start(t.Context(), "push", ""), "x", func() error { tries++; return errNoAnswer })
		if took := time.Since(start); !errors.Is(err, errNoAnswer) || took < outageLimit || took > outageLimit+lastPause || tries > 40 {
			t.Errorf("%v after %v and %d tries", err, took, tries)
		}
		tries = 0
		_ = persist(t.Context(), newRecord(ui.Discard(), 1, nil).start(t.Context(), "push", ""), "x", func() error { tries++; return errors.New("refused") })
		if tries != 1 {
			t.Errorf("%d tries of what will not get better", tries)
		}
	})
}

func TestReach(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r := newReach()
	client := &http.Client{Transport: r.wrap(&http.Transport{DisableKeepAlives: true})}
	ask := func(ctx context.Context, url string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}
	check := func(what string, want bool) {
		t.Helper()
		if since, _, _ := r.away(); since.IsZero() == want {
			t.Errorf("%s: away %v", what, !want)
		}
	}
	ask(t.Context(), server.URL)
	check("an answer", false)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ask(ended, "http://127.0.0.1:1/")
	check("a request that we ended", false)
	_, news, _ := r.away()
	ask(t.Context(), "http://127.0.0.1:1/")
	check("nobody there", true)
	select {
	case <-news:
	default:
		t.Error("nobody was told")
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no"))
	if !r.starting(forbidden) || r.starting(errors.New("other")) || newReach().starting(forbidden) {
		t.Error("a refusal counts as that of a server that starts exactly when it was away")
	}
	ask(t.Context(), server.URL)
	check("an answer again", false)
	if !r.starting(forbidden) {
		t.Error("a server that is just back may still be starting")
	}
}
