package pull

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Timeout bounds one question to a registry, so that one that hangs does not pile up workers.
const Timeout = 8 * time.Second

// Registries asks registries, and keeps what their handshakes found out. Its methods may be called from several
// goroutines.
type Registries struct {
	transport http.RoundTripper
	sessions  *sessions
}

// NewRegistries returns Registries that ask over base.
func NewRegistries(base http.RoundTripper) *Registries {
	return &Registries{transport: base, sessions: newSessions()}
}

// Sessions is how many handshakes are kept.
func (r *Registries) Sessions() int {
	r.sessions.mu.Lock()
	defer r.sessions.mu.Unlock()
	return len(r.sessions.known)
}

// Config returns an image's digest and its configuration file; of an index, those of the linux image for the
// architecture given.
func (r *Registries) Config(ctx context.Context, reference name.Reference, auth authn.Authenticator, architecture string) (string, *v1.ConfigFile, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	session, err := r.sessions.get(ctx, reference.Context(), auth, r.transport)
	if err != nil {
		return "", nil, err
	}
	digest, config, err := configOf(ctx, reference, session, architecture)
	if err != nil {
		r.sessions.drop(reference.Context(), session)
	}
	return digest, config, err
}

func configOf(ctx context.Context, reference name.Reference, session http.RoundTripper, architecture string) (string, *v1.ConfigFile, error) {
	found, err := remote.Get(reference, remote.WithContext(ctx), remote.WithTransport(session), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
	if err != nil {
		return "", nil, err
	}
	image, err := found.Image()
	if err != nil {
		return "", nil, err
	}
	config, err := image.ConfigFile()
	return found.Digest.String(), config, err
}

// Image opens an image, or the artifact that it is. Its parts are read while ctx lasts.
func (r *Registries) Image(ctx context.Context, reference name.Reference, auth authn.Authenticator) (v1.Image, error) {
	session, err := r.sessions.get(ctx, reference.Context(), auth, r.transport)
	if err != nil {
		return nil, err
	}
	return remote.Image(reference, remote.WithContext(ctx), remote.WithTransport(session))
}

// Layer opens one layer of an image, uncompressed, by the digest of its content. The image is of the linux platform with
// the architecture given. It is read while ctx lasts.
func (r *Registries) Layer(ctx context.Context, reference name.Reference, auth authn.Authenticator, architecture string, content v1.Hash) (io.ReadCloser, error) {
	session, err := r.sessions.get(ctx, reference.Context(), auth, r.transport)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(reference, remote.WithContext(ctx), remote.WithTransport(session), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
	if err != nil {
		return nil, err
	}
	layer, err := image.LayerByDiffID(content)
	if err != nil {
		return nil, err
	}
	return layer.Uncompressed()
}

// Digest asks where reference points now.
func (r *Registries) Digest(ctx context.Context, reference name.Reference, auth authn.Authenticator) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	session, err := r.sessions.get(ctx, reference.Context(), auth, r.transport)
	if err != nil {
		return "", err
	}
	digest, err := ask(ctx, reference, session)
	if err != nil {
		r.sessions.drop(reference.Context(), session)
	}
	return digest, err
}

// ask is a HEAD, which registries do not count as a pull; one that cannot answer it properly gets a GET.
func ask(ctx context.Context, reference name.Reference, session http.RoundTripper) (string, error) {
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(session)}
	head, err := remote.Head(reference, options...)
	if err == nil {
		return head.Digest.String(), nil
	}
	if !worthAGet(err) {
		return "", err
	}
	got, err := remote.Get(reference, options...)
	if err != nil {
		return "", err
	}
	return got.Digest.String(), nil
}

// worthAGet tells whether a failed HEAD may come from a registry that does not know it well: it answered, and
// with nothing that a GET would also say.
func worthAGet(err error) bool {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return answer.StatusCode == http.StatusMethodNotAllowed || answer.StatusCode == http.StatusNotImplemented ||
			answer.StatusCode == http.StatusBadRequest
	}
	_, unanswered := errors.AsType[*url.Error](err)
	return !unanswered && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
