// Package controller keeps workloads and supply chains, deliverables and deliveries, and runnables as they should be:
// it watches them, and all that they depend on, and has realize stamp what an owner's blueprint asks for. What to
// stamp, and what it means, is decided in selector, template and realize.
//
// Objects are written with server-side apply and the identity of the owner's service account, so that nobody gets
// more through a supply chain than that account may do. The controller itself needs: get, list and watch on all kinds
// of carto.run, serviceaccounts, roles, rolebindings, clusterroles, clusterrolebindings; create on serviceaccounts/token;
// update on the status of those that have one; create and patch on events of events.k8s.io. It should be allowed to list
// and watch the kinds that templates stamp or Runnables select, too. What it may not, such as Secrets, it reads as the
// owner's account whenever it looks: every 15 s where something is awaited, else every 10 min.
package controller

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	clientauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/template"
)

const (
	defaultConcurrency = 8
	retryFirst         = 5 * time.Millisecond
	retryLongest       = 2 * time.Minute
	recorderName       = "slipway.dev/supply-chain"
)

// Options are the settings of Setup; the zero value works.
type Options struct {
	// MaxConcurrentWorkloads, MaxConcurrentDeliverables and MaxConcurrentRunnables are how many of each are worked on
	// at once; 0 means 8.
	MaxConcurrentWorkloads, MaxConcurrentDeliverables, MaxConcurrentRunnables int
	// HideSecrets leaves the values of outputs that are read from Secrets out of the status of owners, where Cartographer
	// shows their beginning. Their digests stay.
	HideSecrets bool
	// Metrics gets the duration of realisations and the numbers of stamped objects; nil: nobody counts.
	Metrics prometheus.Registerer
	// Logger gets what the conditions of workloads do not show; nil discards.
	Logger *slog.Logger
	// SkipNameValidation allows several controllers of the same name in one process, which only tests want.
	SkipNameValidation bool

	startLimit time.Duration // tests set it short; 0 means startLimit
}

// AddToScheme makes the kinds that the controllers read through the manager's client known to a scheme. The kinds of
// rbac.authorization.k8s.io must be in it too, as they are in client-go's scheme.
func AddToScheme(scheme *runtime.Scheme) error { return v1alpha1.AddToScheme(scheme) }

// Setup adds the controllers of all kinds to a manager, whose scheme has had AddToScheme. They
// start with the manager. An error means that the manager's configuration cannot be used.
func Setup(mgr ctrl.Manager, options Options) error {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	parts, err := newShared(mgr, options)
	if err != nil {
		return err
	}
	for _, of := range []struct {
		family     *family
		concurrent int
	}{
		{supplyChains(), options.MaxConcurrentWorkloads},
		{deliveries(), options.MaxConcurrentDeliverables},
	} {
		if err := newOwners(mgr, parts, of.family).setup(mgr, controllerOptions(options, of.concurrent)); err != nil {
			return fmt.Errorf("setting up the controller of %ss: %w", of.family.ownerWord, err)
		}
		c := &blueprints{client: mgr.GetClient(), family: of.family}
		if err := c.setup(mgr, controllerOptions(options, 1)); err != nil {
			return fmt.Errorf("setting up the controller of %s: %w", of.family.blueprintWords, err)
		}
	}
	r := newRunnables(mgr, parts)
	return r.setup(mgr, controllerOptions(options, options.MaxConcurrentRunnables))
}

// shared is what the controllers of all kinds of owners have in common.
type shared struct {
	reader     dynamic.Interface
	metadata   metadata.Interface
	access     *access
	identities *identity.Pool
	events     *teller
	metrics    *metrics
	log        *slog.Logger

	hideSecrets bool
}

func newShared(mgr ctrl.Manager, options Options) (*shared, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.QPS = -1 // the API server has its own fair queues; a second throttle here would only add latency
	reader, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the watches of stamped objects: %w", err)
	}
	metadata, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the watches of selected objects: %w", err)
	}
	tokens, err := clientcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the requests for tokens: %w", err)
	}
	events, err := newTeller(config, options.Logger)
	if err == nil {
		err = mgr.Add(events)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing to write events: %w", err)
	}
	counted, err := newMetrics(options.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	reviews, err := clientauthorizationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing to ask what may be watched: %w", err)
	}
	access := newAccess(reviews.SelfSubjectAccessReviews(), options.Logger)
	if options.startLimit != 0 {
		access.startLimit = options.startLimit
	}
	return &shared{reader: reader, metadata: metadata, access: access, identities: identity.NewPool(config, tokens), events: events, metrics: counted, log: options.Logger,
		hideSecrets: options.HideSecrets}, nil
}

func (s *shared) accounts(mgr ctrl.Manager) *accounts {
	return &accounts{client: mgr.GetClient(), identities: s.identities, waiting: newWaiting()}
}

// stampedFor watches what is stamped for one kind of owners.
func (s *shared) stampedFor(owner string, labels ownerLabels, mgr ctrl.Manager) *stampedObjects {
	stamped := newStampedObjects(labels, s.reader, mgr.GetRESTMapper(), s.access, s.log)
	s.metrics.count(owner, stamped)
	return stamped
}

func newOwners(mgr ctrl.Manager, parts *shared, of *family) *owners {
	return &owners{
		family:   of,
		accounts: parts.accounts(mgr),
		renderer: template.NewRenderer(),
		stamped:  parts.stampedFor(of.owner, of.labels, mgr),
		events:   parts.events,
		metrics:  parts.metrics,
		held:     newHeld(),
		log:      parts.log,

		hideSecrets: parts.hideSecrets,
	}
}

func newRunnables(mgr ctrl.Manager, parts *shared) *runnables {
	return &runnables{
		accounts: parts.accounts(mgr),
		stamped:  parts.stampedFor(v1alpha1.KindRunnable, ownerLabels{name: v1alpha1.LabelRunnableName}, mgr),
		selected: &selectedKinds{reader: parts.metadata, client: mgr.GetClient(), access: parts.access, kinds: map[schema.GroupVersionKind]*kindWatch{}},
		events:   parts.events,
		metrics:  parts.metrics,
		log:      parts.log,
	}
}

func controllerOptions(options Options, concurrent int) controller.Options {
	if concurrent == 0 {
		concurrent = defaultConcurrency
	}
	recoverPanic := true
	return controller.Options{
		MaxConcurrentReconciles: concurrent,
		RecoverPanic:            &recoverPanic,
		SkipNameValidation:      &options.SkipNameValidation,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryLongest),
	}
}
