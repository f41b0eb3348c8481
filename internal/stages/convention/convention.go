// Package convention is the stage that applies conventions to pod templates: it reconciles the PodIntents of
// conventions.carto.run with the ClusterPodConventions that fit them, in their order, each a webhook or one of those
// that are built in, and publishes what comes of it in status.template. Images are looked at, by digest, and nothing is
// pulled; no pod is made.
package convention

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/lru"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/conventions/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/version"
)

// defaultConcurrency is more than there are CPUs, since the work is waiting for registries and webhooks.
const defaultConcurrency = 8

// The pause before a PodIntent that failed is looked at again, which doubles each time.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = time.Minute
)

// Options says how PodIntents are reconciled. Secrets must be set.
type Options struct {
	// Aliases maps a registry as users write it to the one to ask in the cluster, over plain HTTP.
	Aliases map[string]string
	// Secrets reads pull secrets.
	Secrets pull.Secrets
	// Transport carries the requests to registries; nil means one of its own with sensible timeouts.
	Transport http.RoundTripper
	// MaxConcurrent is how many PodIntents are reconciled at the same time; 0 means 8.
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
	r := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), options)
	return ctrl.NewControllerManagedBy(mgr).
		Named("convention").
		// Every change is looked at, that of a status too: it is how a status written from a cache that lagged
		// behind is seen and put right.
		For(&v1alpha1.PodIntent{}).
		Watches(&v1alpha1.ClusterPodConvention{}, handler.EnqueueRequestsFromMapFunc(r.everyIntent), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(r)
}

func newReconciler(cluster client.Client, direct client.Reader, options Options) *reconciler {
	if options.Transport == nil {
		options.Transport = pull.NewTransport(options.Aliases)
	}
	return &reconciler{
		client: cluster,
		direct: direct,
		images: &images{
			aliases:     options.Aliases,
			credentials: pull.Credentials{Accounts: direct, Secrets: options.Secrets},
			registries:  pull.NewRegistries(transport.NewUserAgent(options.Transport, "slipway/"+version.Version())),
			known:       lru.New(keptConfigs),
		},
		webhooks: newWebhooks(),
		outcomes: newOutcomes(),
		pauses:   workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstPause, lastPause),
		log:      options.Logger,
	}
}

// everyIntent wakes all PodIntents: which of them a convention fitted before it was changed is not known any more. What
// nothing changed for costs a look and no write.
func (r *reconciler) everyIntent(ctx context.Context, _ client.Object) []reconcile.Request {
	all := &v1alpha1.PodIntentList{}
	if err := r.client.List(ctx, all); err != nil {
		r.log.Error("listing the PodIntents that a convention may concern", "error", err)
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
	}
	return requests
}
