package dev

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reach knows whether the API server answers, from what happens to the requests that are made anyway.
type reach struct {
	mutex   sync.Mutex
	since   time.Time // when it was first found away; zero while it answers
	back    time.Time // when it came back last; zero when it was never away
	problem error
	news    chan struct{} // closed and replaced when it goes away or comes back
}

func newReach() *reach { return &reach{news: make(chan struct{})} }

// wrap makes a transport tell.
func (r *reach) wrap(inner http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := inner.RoundTrip(request)
		switch {
		case err == nil:
			r.tell(nil)
		case request.Context().Err() == nil || errors.Is(context.Cause(request.Context()), errNoAnswer):
			r.tell(err)
		}
		return response, err
	})
}

// errNoAnswer is the cause of a request's end that is the server's fault.
var errNoAnswer = errors.New("it takes connections and does not answer")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// tell says that a request failed without an answer, or with nil that there was one.
func (r *reach) tell(problem error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if (problem != nil) == !r.since.IsZero() {
		return
	}
	r.since, r.problem = time.Time{}, problem
	if problem != nil {
		r.since = time.Now()
	} else {
		r.back = time.Now()
	}
	close(r.news)
	r.news = make(chan struct{})
}

// away says since when the server is away and why, the zero time when it answers, and returns a channel that is closed
// when that changes.
func (r *reach) away() (since time.Time, news <-chan struct{}, problem error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.since, r.news, r.problem
}

// startLimit is how long an API server that was away may still refuse what it allows: one that starts answers before it
// has read who may do what.
const startLimit = 20 * time.Second

// starting says whether an answer may be that of an API server that is only just starting.
func (r *reach) starting(err error) bool {
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		return false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return !r.since.IsZero() || (!r.back.IsZero() && time.Since(r.back) < startLimit)
}
