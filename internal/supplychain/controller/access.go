package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const (
	// lookSoon is how often owners are looked at for which something is awaited from an object of a kind that the
	// controller may not watch: that it is healthy, or gives out something else. lookLate is how often all others are,
	// whose objects can only have been changed by somebody else.
	lookSoon = 15 * time.Second
	lookLate = 10 * time.Minute
	// askAgain is after how long a refusal is asked about again.
	askAgain = 15 * time.Second
	// startLimit is how long the API server may refuse a watch that it allows: one that starts answers before it has read
	// who may do what.
	startLimit = 20 * time.Second
	// forget is after how long without a refusal the next one is the first of others; reflectors try again within a minute.
	forget = 2 * time.Minute
)

// attention is how closely an owner must be looked at, since no watch tells of all that was stamped for it.
type attention int

const (
	watched attention = iota // watches tell of all
	late
	soon
)

// attentionFor is what an object needs whose kind is not watched. Those of most templates give something out, of which
// others wait for what is new.
func attentionFor(object *unstructured.Unstructured) attention {
	if object.GetLabels()[v1alpha1.LabelTemplateKind] == v1alpha1.KindClusterTemplate {
		return late
	}
	return soon
}

// again is the end of a reconcile of an owner that needs attention; ready says whether the owner is.
func (a attention) again(ready bool) ctrl.Result {
	switch {
	case a == watched:
		return ctrl.Result{}
	case a == soon || !ready:
		return ctrl.Result{RequeueAfter: lookSoon}
	}
	return ctrl.Result{RequeueAfter: lookLate - rand.N(lookLate/4)} //nolint:gosec // so that not all come at once
}

// before is the end of a reconcile that is to be tried again after a pause, or earlier where attention asks for it.
func (a attention) before(pause time.Duration, ready bool) ctrl.Result {
	if look := a.again(ready).RequeueAfter; look > 0 {
		pause = min(pause, look)
	}
	return ctrl.Result{RequeueAfter: pause}
}

// access knows which kinds the controller may watch with its own identity, by asking the API server. What it may not,
// Secrets before all, it reads as the owner's service account instead, again and again. A refusal is asked about again
// after a while, since roles change.
type access struct {
	reviews    clientauthorizationv1.SelfSubjectAccessReviewInterface
	log        *slog.Logger
	now        func() time.Time
	startLimit time.Duration

	mu      sync.Mutex
	allowed map[schema.GroupVersionResource]bool
	asked   map[schema.GroupVersionResource]time.Time // of the refusals, when
	refused map[schema.GroupVersionResource]span      // watches that are allowed as far as is known
}

// span is from when to when something was seen.
type span struct{ first, last time.Time }

func newAccess(reviews clientauthorizationv1.SelfSubjectAccessReviewInterface, log *slog.Logger) *access {
	return &access{reviews: reviews, log: log, now: time.Now, startLimit: startLimit, allowed: map[schema.GroupVersionResource]bool{},
		asked: map[schema.GroupVersionResource]time.Time{}, refused: map[schema.GroupVersionResource]span{}}
}

// mayWatch says whether the controller may list and watch the objects of a kind in all namespaces. What it may is asked
// again only once the API server has refused it: a watch that has begun goes on.
func (a *access) mayWatch(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // a kind is asked about by one
	before, refused := a.asked[resource]
	if a.allowed[resource] || refused && a.now().Sub(before) < askAgain {
		return a.allowed[resource], nil
	}
	for _, verb := range []string{"list", "watch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: resource.Group, Version: resource.Version, Resource: resource.Resource},
		}}
		answer, err := a.reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("asking whether %s may be watched: %w", resource.GroupResource(), err)
		}
		if !answer.Status.Allowed {
			if !refused {
				a.log.Info(unwatched(resource))
			}
			a.asked[resource] = a.now()
			return false, nil
		}
	}
	a.allowed[resource] = true
	return true, nil
}

// whenRefused returns what is told of the errors of a watch of a kind: when the API server goes on to refuse the watch, it
// is noted that it does not allow that any more, and then is called. Until that is certain the watch tries again by itself.
func (a *access) whenRefused(resource schema.GroupVersionResource, then func()) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, reflector *cache.Reflector, err error) {
		if !apierrors.IsForbidden(err) {
			a.answered(resource)
			cache.DefaultWatchErrorHandler(ctx, reflector, err)
			return
		}
		if a.lost(resource, err) {
			then()
		}
	}
}

// answered notes that a watch ended otherwise than by a refusal: it was allowed, or the API server is away.
func (a *access) answered(resource schema.GroupVersionResource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.refused, resource)
}

// lost notes that a watch of a kind was refused, and says whether the kind may not be watched any more.
func (a *access) lost(resource schema.GroupVersionResource, why error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.allowed[resource] {
		return true // another of its watches was refused before
	}
	now := a.now()
	seen, again := a.refused[resource]
	if !again || now.Sub(seen.last) > forget {
		a.log.Info("a watch is refused, maybe since the API server only just starts; it is tried again", "resource", resource.String(), "error", why)
		seen.first = now
	}
	seen.last = now
	if now.Sub(seen.first) < a.startLimit {
		a.refused[resource] = seen
		return false
	}
	delete(a.refused, resource)
	delete(a.allowed, resource)
	a.asked[resource] = now
	a.log.Warn("the controller may not watch a kind any more: "+unwatched(resource), "error", why)
	return true
}

// refuses says whether it is known that the controller may not watch a kind.
func (a *access) refuses(resource schema.GroupVersionResource) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, refused := a.asked[resource]
	return refused && !a.allowed[resource]
}

// unwatched tells what it means that a kind is not watched, and what to do about it.
func unwatched(resource schema.GroupVersionResource) string {
	text := fmt.Sprintf("%s are not watched: they are looked at as the service account of their owner, every %v while something is awaited from them and else every %v",
		resource.GroupResource(), lookSoon, lookLate)
	if resource.GroupResource().String() == "secrets" {
		return text
	}
	return text + "; a ClusterRole with the label slipway.dev/aggregate-to-controller=true that allows to list and watch them has changes heeded at once"
}
