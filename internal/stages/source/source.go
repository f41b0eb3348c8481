// Package source is the stage at which a supply chain begins: it reconciles Sources, each of which follows a git
// repository or a source artifact in a registry, and publishes its files as an artifact in the environment's registry,
// from which other stages fetch it. Files are fetched into a folder for a moment and are not kept; what a source means
// is not looked at.
package source

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/semaphore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/version"
)

// DefaultInterval is how often a source is looked at of which nothing tells.
const DefaultInterval = time.Minute

// defaultConcurrency is more than there are CPUs, since the work is waiting for servers.
const defaultConcurrency = 4

// Options says how Sources are followed. Aliases, Registry and Secrets must be set.
type Options struct {
	// Aliases maps a registry as users write it to the one to ask in the cluster, over plain HTTP.
	Aliases map[string]string
	// Registry is where artifacts are stored, as users write it: one that Aliases knows.
	Registry string
	// GitAliases maps a git server's host and port as users write it to the one to connect to in the cluster.
	GitAliases map[string]string
	// EventsURL and GitEventsURL are the push event streams of a registry and of a git server (see registry/events and
	// internal/git/events), which are the hosts of the URLs. A push wakes the Sources that follow what was pushed; empty
	// means that only the interval does.
	EventsURL, GitEventsURL string
	// Secrets reads credentials.
	Secrets pull.Secrets
	// Interval is how often to look at Sources that do not say; 0 means DefaultInterval.
	Interval time.Duration
	// MaxConcurrent is how many Sources are looked at at the same time; 0 means 4.
	MaxConcurrent int
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
}

// Setup adds the stage to mgr, which runs it. It needs v1alpha1.AddToScheme on mgr's scheme.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	r, err := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), options)
	if err != nil {
		return err
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	builder := ctrl.NewControllerManagedBy(mgr).
		Named("source").
		// Every change is looked at, that of a status too: it is how a status written from a cache that lagged
		// behind is seen and put right.
		For(&v1alpha1.Source{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent})
	if len(r.streams) > 0 {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Source{}, followedField, index(r.streams)); err != nil {
			return err
		}
		wakes := make(chan event.GenericEvent)
		for _, stream := range r.streams {
			stream.sources, stream.wakes = mgr.GetClient(), wakes
			if err := mgr.Add(stream); err != nil {
				return err
			}
		}
		builder = builder.WatchesRawSource(source.Channel(wakes, &handler.EnqueueRequestForObject{}))
	}
	return builder.Complete(r)
}

func newReconciler(cluster client.Client, accounts client.Reader, options Options) (*reconciler, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Interval <= 0 {
		options.Interval = DefaultInterval
	}
	inside, known := options.Aliases[options.Registry]
	if !known {
		return nil, errNoRegistry
	}
	registries := transport.NewUserAgent(pull.NewTransport(options.Aliases), "slipway/"+version.Version())
	git := gitclient.NewTransport(options.GitAliases)
	streams, err := newStreams(options, struct{ git, registry http.RoundTripper }{git, pull.NewTransport(options.Aliases)})
	if err != nil {
		return nil, err
	}
	return &reconciler{
		streams:     streams,
		limits:      limits{fetch: maxFetch, files: maxFiles, entries: maxEntries},
		timeout:     lookTimeout,
		packing:     semaphore.NewWeighted(maxFiles),
		client:      cluster,
		secrets:     options.Secrets,
		credentials: pull.Credentials{Accounts: accounts, Secrets: options.Secrets},
		registries:  pull.NewRegistries(registries),
		aliases:     options.Aliases,
		registry:    inside,
		named:       options.Registry,
		git:         git,
		transport:   registries,
		interval:    options.Interval,
		log:         options.Logger,
	}, nil
}

// Stored is the registry among the aliases that artifacts are stored in: the first by name, "" when there is none.
func Stored(aliases map[string]string) string {
	var names []string
	for name := range aliases {
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}
