package image

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// resolveTimeout bounds one question to a registry. It is below the poll interval, so that a registry that
// hangs does not pile up workers.
const resolveTimeout = 8 * time.Second

// resolver asks registries for digests.
type resolver struct {
	transport http.RoundTripper
	sessions  *sessions
}

func newResolver(base http.RoundTripper) *resolver {
	return &resolver{transport: base, sessions: newSessions()}
}

// digest asks where reference points now.
func (r *resolver) digest(ctx context.Context, reference name.Reference, auth authn.Authenticator) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
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
