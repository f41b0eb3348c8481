package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway.dev/slipway/internal/hint"
)

// pushJobs is how many blobs are looked for and sent at once. An app's image has few, and they go over loopback.
const pushJobs = 8

// Pusher pushes images to the local registry and keeps its connections between pushes. It remembers nothing else: a
// registry may lose blobs at any time, and over loopback asking for them costs a millisecond. It is safe for
// concurrent use.
type Pusher struct {
	counter *sentCounter
}

// Pushed is what a push did.
type Pushed struct {
	Reference name.Digest // the image, by digest
	Bytes     int64       // of blobs that were missing and were sent; about right when pushes overlap
}

// NewPusher returns a Pusher; it does no I/O. A nil transport means go-containerregistry's own.
func NewPusher(roundTripper http.RoundTripper) *Pusher {
	if roundTripper == nil {
		roundTripper = remote.DefaultTransport
	}
	return &Pusher{counter: &sentCounter{inner: roundTripper}}
}

// Push makes image what tag means: layers in parallel, only those that the registry lacks, the manifest last. Nothing
// is repeated when ctx ends; blobs that arrived stay, and the next push finds them.
func (p *Pusher) Push(ctx context.Context, image v1.Image, tag name.Tag) (*Pushed, error) {
	before := p.counter.sent.Load()
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("pushing %s: %w", tag, err)
	}
	if err := remote.Write(tag, image, remote.WithContext(ctx), remote.WithTransport(p.counter), remote.WithJobs(pushJobs)); err != nil {
		return nil, pushError(ctx, tag, err)
	}
	return &Pushed{Reference: tag.Context().Digest(digest.String()), Bytes: p.counter.sent.Load() - before}, nil
}

func pushError(ctx context.Context, tag name.Tag, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refusal *transport.Error
	if errors.As(err, &refusal) {
		return fmt.Errorf("pushing %s: %w", tag, err)
	}
	return hint.With(fmt.Errorf("pushing %s: %w", tag, err), "is the registry running? `slipway status` says, and `slipway up` repairs it")
}

// sentCounter counts the bytes of blobs that go to the registry.
type sentCounter struct {
	inner http.RoundTripper
	sent  atomic.Int64
}

func (c *sentCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPatch && request.Body != nil {
		counted := request.Clone(request.Context())
		counted.Body = &countedBody{ReadCloser: request.Body, sent: &c.sent}
		request = counted
	}
	return c.inner.RoundTrip(request)
}

type countedBody struct {
	io.ReadCloser
	sent *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sent.Add(int64(n))
	return n, err
}
