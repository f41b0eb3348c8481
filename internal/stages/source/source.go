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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"slipway.dev/slipway/api/slipway/v1alpha1"
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
func Setup(_ context.Context, mgr ctrl.Manager, options Options) error {
	r, err := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), options)
	if err != nil {
		return err
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("source").
		// Every change is looked at, that of a status too: it is how a status written from a cache that lagged
		// behind is seen and put right.
		For(&v1alpha1.Source{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(r)
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
	git := http.DefaultTransport.(*http.Transport).Clone()
	git.ResponseHeaderTimeout = time.Minute
	return &reconciler{
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
