// Package release is the stage that delivers: it reconciles Releases of slipway.dev, each of which applies the manifests of
// a revision to the cluster as its owner's service account, waits for them, prunes what is no longer among them, and puts
// right what others change. It templates nothing: manifests are applied as they are.
package release

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

const (
	defaultConcurrency = 8 // the work is waiting for servers
	defaultTimeout     = 5 * time.Minute
	defaultInterval    = time.Minute
	// soon and later are how often objects are looked at that are not ready yet: at first, and when it takes long.
	soon  = 250 * time.Millisecond
	later = 2 * time.Second
	// stuckLimit is how long a pod may have trouble, such as an image that cannot be pulled, before the release counts as
	// failed: longer than a registry takes to come back, and much sooner than the timeout, for which somebody would wait.
	stuckLimit = 20 * time.Second
	// catchUp is how long the API server may take to heed what was just applied, such as a role or a kind's schema.
	catchUp = 5 * time.Second
	// againAfter is how soon to try again after a failure.
	againAfter = 5 * time.Second
	// fieldManager is the owner of the fields that a Release applies.
	fieldManager = "slipway-release"
)

// Options says how Releases are done. Identities must be set.
type Options struct {
	// Identities gives the service accounts as which things are applied.
	Identities *identity.Pool
	// Artifacts sends the requests for artifacts; nil means one without a proxy.
	Artifacts *http.Client
	// MaxConcurrent is how many Releases are done at the same time; 0 means 8.
	MaxConcurrent int
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
}

// Setup adds the stage to mgr, which runs it. It needs v1alpha1.AddToScheme on mgr's scheme. No kind but Release is
// watched: what is released is read when it is looked at.
func Setup(_ context.Context, mgr ctrl.Manager, options Options) error {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	if options.Artifacts == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = nil // artifacts are in the environment's registry
		options.Artifacts = &http.Client{Transport: transport}
	}
	asks, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("preparing a client for the kinds of the API server: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("release").
		// Every change is looked at, that of a status too: it is how a status written from a cache that lagged
		// behind is seen and put right.
		For(&v1alpha1.Release{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(&reconciler{
			client: mgr.GetClient(), direct: mgr.GetAPIReader(), mapper: mgr.GetRESTMapper(), discovery: asks, identities: options.Identities,
			artifacts: options.Artifacts, log: options.Logger, now: time.Now,
		})
}

// reconciler keeps what Releases name in the cluster, and their status true.
type reconciler struct {
	client     client.Client
	direct     client.Reader // past the cache
	mapper     meta.RESTMapper
	discovery  discovery.DiscoveryInterface // past what the mapper keeps
	identities *identity.Pool
	artifacts  *http.Client
	log        *slog.Logger
	now        func() time.Time
	contents   contents
}
