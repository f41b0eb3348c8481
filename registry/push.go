package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway.dev/slipway/internal/hint"
)

// pushJobs is how many blobs are looked for and sent at once. An app's image has few, and they go over loopback.
const pushJobs = 8

// defaultPatience is how long a push waits for a registry that does not answer: its container starts again within two
// seconds, on a busy machine later.
const defaultPatience = 15 * time.Second

// Pusher pushes images and what is attached to them. It keeps its connections, and remembers what it has seen in the
// registry, so that a push asks only for what is new. That memory is a guess: the registry refuses a manifest whose blobs
// it lacks, then all is looked for again. It is safe for concurrent use.
type Pusher struct {
	// Patience is how long a push waits for a registry that does not answer, or has just lost what it had; 0 means 15 s.
	// Set it before the first push.
	Patience time.Duration

	transport http.RoundTripper
	mutex     sync.Mutex
	session   *remote.Pusher     // nil: nothing is known
	places    map[v1.Hash]string // where layers were pushed to, as registry/repository
}

// Pushed is what a push did.
type Pushed struct {
	Reference name.Digest // the image, by digest
	Bytes     int64       // of blobs that were missing and were sent, again if need be
}

// NewPusher returns a Pusher; it does no I/O. A nil transport means go-containerregistry's own.
func NewPusher(roundTripper http.RoundTripper) *Pusher {
	if roundTripper == nil {
		roundTripper = remote.DefaultTransport
	}
	return &Pusher{transport: countingTransport{roundTripper}, places: map[v1.Hash]string{}}
}

// Push makes image what tag means: layers in parallel, only those that the registry lacks, each as it is (see Plain), the
// manifest last. Layers that went to another repository of the registry are mounted from there. When the registry goes
// away in the middle, the push goes on as soon as it is back. When ctx ends, blobs that arrived stay, and the next push
// finds them. update is told how it goes, from any goroutine; nil is allowed.
func (p *Pusher) Push(ctx context.Context, image v1.Image, tag name.Tag, update func(Progress)) (*Pushed, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("pushing %s: %w", tag, err)
	}
	s := &sending{update: update}
	listed, err := listLayers(image)
	if err != nil {
		return nil, fmt.Errorf("pushing %s: %w", tag, err)
	}
	mountable := p.mountable(listed, tag.Context())
	err = p.persist(withSending(ctx, s), tag, func(ctx context.Context, session *remote.Pusher) error {
		return session.Push(ctx, tag, mountable)
	})
	if err != nil {
		return nil, pushError(ctx, tag, err)
	}
	p.remember(listed, tag.Context())
	if update != nil {
		update(s.progress())
	}
	return &Pushed{Reference: tag.Context().Digest(digest.String()), Bytes: s.sent.Load()}, nil
}

// persist runs work until it succeeds, fails for good, or the registry has not come back in time.
func (p *Pusher) persist(ctx context.Context, ref name.Reference, work func(context.Context, *remote.Pusher) error) error {
	patience := p.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	deadline := time.Now().Add(patience)
	for pause := 25 * time.Millisecond; ; pause = min(2*pause, 400*time.Millisecond) {
		session, err := p.current()
		if err != nil {
			return err
		}
		err = work(ctx, session)
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		p.forget(session)
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// passes says whether the same push may succeed a moment later: the registry does not answer, ends, or has lost what this
// session believed to be there. The end of another push, on whose blob this one waited, passes, too.
func passes(err error) bool {
	var refusal *transport.Error
	if !errors.As(err, &refusal) {
		var connection *url.Error
		return errors.As(err, &connection) || errors.Is(err, context.Canceled)
	}
	if refusal.StatusCode >= http.StatusInternalServerError {
		return true
	}
	return slices.ContainsFunc(refusal.Errors, func(one transport.Diagnostic) bool {
		switch one.Code {
		case transport.BlobUnknownErrorCode, transport.BlobUploadUnknownErrorCode, transport.BlobUploadInvalidErrorCode,
			transport.ManifestBlobUnknownErrorCode, transport.ManifestUnverifiedErrorCode:
			return true
		}
		return false
	})
}

// current returns the session, a new one when there is none. What fails is tried again here, not there: the library would
// wait for seconds, and not for a refused connection.
func (p *Pusher) current() (*remote.Pusher, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.session != nil {
		return p.session, nil
	}
	once := remote.Backoff{Duration: time.Millisecond, Steps: 1}
	session, err := remote.NewPusher(remote.WithTransport(p.transport), remote.WithJobs(pushJobs), remote.WithRetryBackoff(once))
	if err != nil {
		return nil, fmt.Errorf("preparing to push: %w", err)
	}
	p.session = session
	return session, nil
}

// forget drops what a session knew, unless another has taken its place.
func (p *Pusher) forget(session *remote.Pusher) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.session == session {
		p.session = nil
		clear(p.places)
	}
}

// mostPlaces bounds the memory of a session that runs for days.
const mostPlaces = 4096

func (p *Pusher) remember(image listed, repository name.Repository) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if len(p.places) > mostPlaces {
		clear(p.places)
	}
	for _, digest := range image.digests {
		p.places[digest] = repository.Name()
	}
}

// mountable returns image with those of its layers that are known from another repository saying so.
func (p *Pusher) mountable(image listed, to name.Repository) listed {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	image.layers = slices.Clone(image.layers)
	for i, digest := range image.digests {
		place := p.places[digest]
		if place == "" || place == to.Name() {
			continue
		}
		from, err := name.NewRepository(place)
		if err != nil || from.RegistryStr() != to.RegistryStr() {
			continue
		}
		image.layers[i] = &remote.MountableLayer{Layer: image.layers[i], Reference: from.Tag("latest")}
	}
	return image
}

// listed is an image whose layers were looked up: an image that was put together does so anew each time that it is asked, and
// writes its manifest for each of them.
type listed struct {
	v1.Image
	layers  []v1.Layer
	digests []v1.Hash // of the layers
}

func listLayers(image v1.Image) (listed, error) {
	layers, err := image.Layers()
	if err != nil {
		return listed{}, err
	}
	l := listed{Image: image, layers: layers, digests: make([]v1.Hash, len(layers))}
	for i, layer := range layers {
		if l.digests[i], err = layer.Digest(); err != nil {
			return listed{}, err
		}
	}
	return l, nil
}

func (l listed) Layers() ([]v1.Layer, error) { return l.layers, nil }

func pushError(ctx context.Context, what fmt.Stringer, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refusal *transport.Error
	if errors.As(err, &refusal) {
		return fmt.Errorf("pushing %s: %w", what, err)
	}
	return hint.With(fmt.Errorf("pushing %s: %w", what, err), "is the registry running? `slipway status` says, and `slipway up` repairs it")
}
