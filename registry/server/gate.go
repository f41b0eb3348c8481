package server

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// gate keeps pushes and sweeps apart. A push is several requests: it asks for blobs or sends them, and then stores the
// manifest that names them. So a sweep leaves alone what was asked for or sent a short while ago, and no request that may
// be part of a push is answered while a sweep runs. What streams for long does not hold a sweep up: data that is being
// sent is in no sweep's reach until it is committed.
type gate struct {
	sweeping sync.RWMutex // held for writing by a sweep, for reading by the answers that it must not run beside

	mutex sync.Mutex
	asked map[string]time.Time // digest -> when a request last named it
	since time.Time            // when this began to look; what was asked before is unknown
}

func newGate(now time.Time) *gate { return &gate{asked: map[string]time.Time{}, since: now} }

func (g *gate) touch(digest string, now time.Time) {
	if _, ok := hexOf(digest); !ok {
		return
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.asked[digest] = now
}

// askedAfter says whether a digest was named after a moment, or may have been.
func (g *gate) askedAfter(digest string, moment time.Time) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.asked[digest].After(moment) || g.since.After(moment)
}

// expire forgets what was asked before a moment.
func (g *gate) expire(moment time.Time) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for digest, when := range g.asked {
		if when.Before(moment) {
			delete(g.asked, digest)
		}
	}
}

// digestIn is the digest that a request names, in its path or as the blob that it commits or mounts; "" for none.
func digestIn(r *http.Request) string {
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	query := r.URL.Query()
	for _, text := range []string{last, query.Get("digest"), query.Get("mount")} {
		if _, err := digest.Parse(text); err == nil {
			return text
		}
	}
	return ""
}

// guarded lets a request through when no sweep runs.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams := r.Method == http.MethodPatch || r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
		if streams || !strings.HasPrefix(r.URL.Path, "/v2/") {
			s.gate.touch(digestIn(r), time.Now())
			next.ServeHTTP(w, r)
			return
		}
		if event, changes := change(r); changes && r.Method == http.MethodPut {
			subject, err := subjectOf(r) // reads the body, which may take its time
			if err != nil {
				s.logger.Debug("reading a manifest", "repository", event.Repository, "error", err)
				return // whoever sent it has gone
			}
			if subject != "" {
				w.Header().Set("OCI-Subject", subject)
			}
		}
		s.gate.sweeping.RLock()
		s.gate.touch(digestIn(r), time.Now())
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			s.gate.sweeping.RUnlock() // it may bring the blob with it; the blob is safe now
			next.ServeHTTP(w, r)
			s.gate.touch(digestIn(r), time.Now())
			return
		}
		defer s.gate.sweeping.RUnlock()
		next.ServeHTTP(w, r)
		s.gate.touch(w.Header().Get("Docker-Content-Digest"), time.Now()) // what a tag means
	})
}
