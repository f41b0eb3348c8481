package pull

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// sessionLife is how long a session is used before registry and credentials are tried anew.
	sessionLife = 10 * time.Minute
	// maxSessions bounds the memory of a cluster with very many repositories.
	maxSessions = 2048
)

// sessions keeps what the handshake with a registry found out (http or https, which authentication, a token),
// so that a question is one request and not three. Its methods may be called from several goroutines.
type sessions struct {
	mu    sync.Mutex
	known map[sessionKey]session
}

type sessionKey struct {
	repository  string
	credentials [sha256.Size]byte
}

type session struct {
	transport http.RoundTripper
	expires   time.Time
}

func newSessions() *sessions { return &sessions{known: map[sessionKey]session{}} }

// get returns a transport that speaks to repository's registry with the credentials of auth.
func (s *sessions) get(ctx context.Context, repository name.Repository, auth authn.Authenticator, base http.RoundTripper) (http.RoundTripper, error) {
	key, err := keyOf(ctx, repository, auth)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	found, ok := s.known[key]
	s.mu.Unlock()
	if ok && time.Now().Before(found.expires) {
		return found.transport, nil
	}
	made, err := transport.NewWithContext(ctx, repository.Registry, auth, base, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSessions {
		clear(s.known)
	}
	s.known[key] = session{transport: made, expires: time.Now().Add(sessionLife)}
	return made, nil
}

// drop forgets a session that did not work.
func (s *sessions) drop(repository name.Repository, failed http.RoundTripper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, known := range s.known {
		if key.repository == repository.Name() && known.transport == failed {
			delete(s.known, key)
		}
	}
}

func keyOf(ctx context.Context, repository name.Repository, auth authn.Authenticator) (sessionKey, error) {
	credentials, err := authn.Authorization(ctx, auth)
	if err != nil {
		return sessionKey{}, err
	}
	plain, err := json.Marshal(credentials)
	if err != nil {
		return sessionKey{}, err
	}
	return sessionKey{repository: repository.Name(), credentials: sha256.Sum256(plain)}, nil
}
