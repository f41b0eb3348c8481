// Package image is the stage that follows an image in a registry: it reconciles Images of slipway.dev, asks
// their registry which digest a tag points to, and publishes it in status.latestImage. The registry's event
// stream tells it when to ask; where there is none it asks at an interval. It pulls nothing and changes no
// registry.
package image

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/version"
)

const (
	// DefaultPollInterval is how often an Image is asked for that no event stream covers.
	DefaultPollInterval = 10 * time.Second
	// defaultConcurrency is more than there are CPUs, since the work is waiting for registries.
	defaultConcurrency = 8
)

// Options says how Images are followed. Its zero value polls every registry under the name that users write.
type Options struct {
	// Aliases maps a registry as users write it (localhost:5000) to the one that answers for it inside the
	// cluster (slipway-registry:5000), which is asked over plain HTTP and never through a proxy.
	Aliases map[string]string
	// EventsURL is the push event stream of a registry (see registry/events); the registry is the URL's host
	// and port, which is compared with what Aliases lead to. Empty means that every registry is polled.
	EventsURL string
	// PollInterval is the pause between two questions where no stream tells; 0 means DefaultPollInterval.
	PollInterval time.Duration
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
	// Secrets reads pull secrets. It must be set.
	Secrets pull.Secrets
	// Keychain is asked for credentials when no pull secret has them; nil means none.
	Keychain authn.Keychain
	// Transport carries the requests to registries; nil means one of its own with sensible timeouts.
	Transport http.RoundTripper
	// MaxConcurrent is how many Images are resolved at the same time; 0 means 8.
	MaxConcurrent int
}

// Setup adds the stage to mgr, which runs it. It needs v1alpha1.AddToScheme on mgr's scheme.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	stream, err := newStream(mgr.GetClient(), options)
	if err != nil {
		return err
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	builder := ctrl.NewControllerManagedBy(mgr).
		Named("image").
		// Every change is looked at, that of a status too: it is how a status written from a cache that
		// lagged behind is seen and put right.
		For(&v1alpha1.Image{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent})
	if stream != nil {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Image{}, followedField, stream.index); err != nil {
			return err
		}
		if err := mgr.Add(stream); err != nil {
			return err
		}
		builder = builder.WatchesRawSource(source.Channel(stream.wakes, &handler.EnqueueRequestForObject{}))
	}
	return builder.Complete(newReconciler(mgr.GetClient(), mgr.GetAPIReader(), stream, options))
}

func newReconciler(writer client.Client, accounts client.Reader, stream *stream, options Options) *reconciler {
	if options.Transport == nil {
		options.Transport = pull.NewTransport(options.Aliases)
	}
	if options.PollInterval <= 0 {
		options.PollInterval = DefaultPollInterval
	}
	return &reconciler{
		client:      writer,
		credentials: pull.Credentials{Accounts: accounts, Secrets: options.Secrets, More: options.Keychain},
		registries:  pull.NewRegistries(transport.NewUserAgent(options.Transport, "slipway/"+version.Version())),
		stream:      stream,
		aliases:     options.Aliases,
		interval:    options.PollInterval,
		logger:      options.Logger,
	}
}

// wake is the event that makes the controller look at an Image.
func wake(image *v1alpha1.Image) event.GenericEvent { return event.GenericEvent{Object: image} }
