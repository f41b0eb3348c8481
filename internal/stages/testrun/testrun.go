// Package testrun is the stage that tests a source: it reconciles TestRuns, each with a Job that fetches the source's
// artifact and runs a command on it, and passes the source on once that is green. The Job is made as a service account
// of the run's namespace, and runs as another that has no rights. Which sources are tested, and how, is for supply
// chains to say.
package testrun

import (
	"context"
	"log/slog"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

// LabelRun is on the Job and the pod of a TestRun, with the run's name.
const LabelRun = "slipway.dev/test-run"

// definedField indexes TestRuns by what they test and how.
const definedField = "slipway.dev/tested"

// defaultConcurrency is enough: what takes long is the tests, which nobody waits for here.
const defaultConcurrency = 4

// Options says how TestRuns are reconciled. Image and Identities must be set.
type Options struct {
	// Image is slipwayd's own image, by digest: a pod of it fetches the source.
	Image string
	// Identities gives out the service accounts that make jobs.
	Identities *identity.Pool
	// MaxConcurrent is how many TestRuns are reconciled at the same time; 0 means 4.
	MaxConcurrent int
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
}

// newCache holds the Jobs and pods of TestRuns, and no others.
func newCache(mgr ctrl.Manager) (cache.Cache, error) {
	ours, err := labels.Parse(LabelRun)
	if err != nil {
		return nil, err
	}
	return cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultTransform: cache.TransformStripManagedFields(), DefaultLabelSelector: ours,
	})
}

// Setup adds the stage to mgr, which runs it. The manager's scheme needs v1alpha1, core and batch.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.TestRun{}, definedField, func(object client.Object) []string {
		if run, is := object.(*v1alpha1.TestRun); is {
			if key := definitionKey(run); key != "" {
				return []string{key}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	made, err := newCache(mgr)
	if err != nil {
		return err
	}
	if err := mgr.Add(made); err != nil {
		return err
	}
	asks, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	r := &reconciler{server: &server{api: asks}, made: made, client: mgr.GetClient(), live: mgr.GetAPIReader(), image: options.Image, identities: options.Identities, log: options.Logger}
	return ctrl.NewControllerManagedBy(mgr).
		Named("testrun").
		For(&v1alpha1.TestRun{}).
		WatchesRawSource(source.Kind(made, &batchv1.Job{}, enqueueRunOf[*batchv1.Job]())).
		WatchesRawSource(source.Kind(made, &corev1.Pod{}, enqueueRunOf[*corev1.Pod]())).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(r)
}
