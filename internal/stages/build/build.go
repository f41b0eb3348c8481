// Package build is the stage that makes images of sources: it reconciles Builds, each of which asks for an image of a
// source artifact, and publishes the image once it is in the registry. It decides when one is needed and why; it builds
// nothing itself: builders on a user's machine answer the request in a Build's status (package fulfil), and that they
// write there is what wakes this stage.
package build

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/version"
)

const (
	// defaultConcurrency is more than there are CPUs, since the work is waiting for the registry.
	defaultConcurrency = 4
	// patience is how long a request may be open before its condition says that nobody builds it: a builder that is there
	// claims it within milliseconds.
	patience = 3 * time.Second
	// againAfter is how soon to look again for an image that its registry does not show.
	againAfter = 5 * time.Second
)

// Options says how Builds are reconciled. Secrets must be set.
type Options struct {
	// Aliases maps a registry as users write it (localhost:5000) to the one that answers for it in the cluster, which is
	// asked over plain HTTP.
	Aliases map[string]string
	// Secrets reads pull secrets.
	Secrets pull.Secrets
	// Transport carries the requests to registries; nil means one of its own.
	Transport http.RoundTripper
	// MaxConcurrent is how many Builds are reconciled at the same time; 0 means 4.
	MaxConcurrent int
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
}

// Setup adds the stage to mgr, which runs it. It needs v1alpha1.AddToScheme on mgr's scheme.
func Setup(mgr ctrl.Manager, options Options) error {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	if options.Transport == nil {
		options.Transport = pull.NewTransport(options.Aliases)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("build").
		// Every change is looked at, that of a status too: it is how builders answer.
		For(&v1alpha1.Build{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(&reconciler{
			client:      mgr.GetClient(),
			credentials: pull.Credentials{Accounts: mgr.GetAPIReader(), Secrets: options.Secrets},
			registries:  pull.NewRegistries(transport.NewUserAgent(options.Transport, "slipway/"+version.Version())),
			aliases:     options.Aliases,
			log:         options.Logger,
			now:         time.Now,
		})
}
