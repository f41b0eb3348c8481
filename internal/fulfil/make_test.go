package fulfil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("main.go:1:1: wrong\n", 100)
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("no"), "no"},
		{"the compiler's", fmt.Errorf("building: %w", &build.SourceError{Command: "go build .", Output: "main.go:1:1: wrong"}), "go build .:\nmain.go:1:1: wrong"},
		{"with advice", hint.With(errors.New("no"), "do this"), "no\nHint: do this"},
		{"many lines", &build.SourceError{Command: "go build .", Output: long + "last"},
			"go build .:\n(71 lines before)\n" + strings.Repeat("main.go:1:1: wrong\n", 29) + "last"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, tail(test.err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	wide := tail(&build.SourceError{Command: "make", Output: strings.Repeat("é", 40_000) + "the end"})
	if len(wide) > tailBytes+300 || !strings.HasPrefix(wide, "make:\n...") || !strings.HasSuffix(wide, "the end") {
		t.Errorf("%d bytes: %.20q ... %.20q", len(wide), wide, wide[len(wide)-20:])
	}
}

func TestRefuse(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx    context.Context //nolint:containedctx // of the case
		err    error
		answer bool
	}{
		"wrong source":        {t.Context(), &build.SourceError{Command: "a", Output: "b"}, true},
		"nothing to build":    {t.Context(), build.ErrNothingToBuild, true},
		"ended":               {ended, build.ErrNothingToBuild, false},
		"no answer":           {t.Context(), &url.Error{Op: "Get", Err: io.ErrUnexpectedEOF}, false},
		"the registry starts": {t.Context(), &transport.Error{StatusCode: 503}, false},
		"no such base":        {t.Context(), &transport.Error{StatusCode: 404}, true},
	} {
		refusal, got := errors.AsType[*Refusal](Refuse(test.ctx, test.err))
		if got != test.answer || got && !errors.Is(refusal, test.err) {
			t.Errorf("%s: an answer %t, want %t", name, got, test.answer)
		}
	}
}

func TestTitle(t *testing.T) {
	order := Order{Namespace: "a", Name: "b", Reason: "SOURCE", Source: v1alpha1.BuildSource{Revision: "main@sha1:" + strings.Repeat("0123456789", 4)}}
	if got, want := order.title(), "Build a/b of main@sha1:012345678901 (SOURCE)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpen(t *testing.T) {
	b := &v1alpha1.Build{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	held := func(by string) time.Duration {
		return (&worker{fulfiller: &fulfiller{Options: Options{By: by}}}).held(b)
	}
	b.Status.ObservedGeneration = 2
	if open(b) || !settled(b, "a") {
		t.Error("a Build without a request is open")
	}
	b.Status.Request = &v1alpha1.BuildRequest{ID: "a"}
	if !open(b) || !asks(b, "a") || asks(b, "b") || settled(b, "a") || held("me") != 0 {
		t.Error("a new request is not open")
	}
	b.Status.Claim = &v1alpha1.BuildClaim{Request: "a", By: "other", Until: metav1.NewTime(time.Now().Add(time.Hour))}
	if held("me") != lease || held("other") != 0 {
		t.Error("the claim does not count")
	}
	b.Status.Claim.Request = "before"
	if held("me") != 0 {
		t.Error("the claim of another request counts")
	}
	b.Status.Answer = &v1alpha1.BuildAnswer{Request: "before"}
	if !open(b) {
		t.Error("the answer to another request counts")
	}
	b.Status.Answer.Request = "a"
	if open(b) || settled(b, "a") {
		t.Error("a request with an answer is open, or settled before the stage has seen that")
	}
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}}
	if !settled(b, "a") {
		t.Error("a failure is not settled")
	}
	b.Generation = 3
	b.Status.Answer = nil
	if open(b) {
		t.Error("a request of an older spec is open")
	}
}

// TestOtherEngines: what a name means in one engine says nothing about what it means in another. Without that two machines
// would have each other's images built anew for ever.
func TestOtherEngines(t *testing.T) {
	y := newBay(t)
	defer y.end()
	b := y.get()
	b.Status.Bases = []v1alpha1.BuildBase{{Name: "base", Digest: "sha256:1", Engine: "other"}}
	f := newFulfiller(Options{Cluster: y.cluster})
	key := types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
	f.workers[key] = &worker{fulfiller: f, key: key, latest: b}
	f.lookAtEngine(t.Context(), nil, "mine") // asking it would panic
	var seen []string
	f.compareBases(t.Context(), func(base v1alpha1.BuildBase) string {
		seen = append(seen, base.Name)
		return ""
	})
	if diff := cmp.Diff([]string{"base"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFetchingIsTriedAgain has a source whose server is away for a while, or goes away in the middle of it, which says
// nothing about the source; one that is not there; and one that no try can unpack.
func TestFetchingIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		cut    bool
		source []byte // what is given out instead
		stays  string // what the answer says; "" when there is none before the source is
	}{
		"unavailable": {status: http.StatusServiceUnavailable}, "cut": {cut: true}, "not there": {status: http.StatusNotFound, stays: "404 Not Found"},
		"no gzip":          {source: []byte("<html>sorry, nothing here</html>"), stays: "gzip: invalid header"},
		"no deflated data": {source: append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, bytes.Repeat([]byte{0xff}, 100)...), stays: "flate: corrupt input"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newBay(t)
				defer y.end()
				y.status, y.cut = test.status, test.cut
				whole := y.source
				if test.source != nil {
					y.source = test.source
				}
				y.watch("one", &slow{})
				time.Sleep(2 * lease)
				answer := y.get().Status.Answer
				if answered := answer != nil; answered != (test.stays != "") || answered && !strings.Contains(answer.Error, test.stays) {
					t.Fatalf("answer %+v", answer)
				}
				y.mutex.Lock()
				y.status, y.cut, y.source = 0, false, whole
				y.mutex.Unlock()
				time.Sleep(2 * lastPause)
				if answer := y.get().Status.Answer; (answer.Image != "") != (test.stays == "") {
					t.Errorf("answer %+v", answer)
				}
			})
		})
	}
}
