package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// unwatchedAgain is how often owners are looked at that have objects of kinds which the controller may not watch.
const unwatchedAgain = 15 * time.Second

// access knows which kinds the controller may watch with its own identity, by asking the API server. What it may not,
// Secrets before all, it reads as the owner's service account instead, again and again. A refusal is asked about again
// after a while, since roles change.
type access struct {
	reviews clientauthorizationv1.SelfSubjectAccessReviewInterface
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	allowed map[schema.GroupVersionResource]bool
	asked   map[schema.GroupVersionResource]time.Time // of the refusals, when
}

func newAccess(reviews clientauthorizationv1.SelfSubjectAccessReviewInterface, log *slog.Logger) *access {
	return &access{reviews: reviews, log: log, now: time.Now, allowed: map[schema.GroupVersionResource]bool{}, asked: map[schema.GroupVersionResource]time.Time{}}
}

// mayWatch says whether the controller may list and watch the objects of a kind in all namespaces. What it may once is
// not asked again: a watch that has begun goes on.
func (a *access) mayWatch(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // a kind is asked about by one
	before, refused := a.asked[resource]
	if a.allowed[resource] || refused && a.now().Sub(before) < unwatchedAgain {
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

// refuses says whether it is known that the controller may not watch a kind.
func (a *access) refuses(resource schema.GroupVersionResource) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, refused := a.asked[resource]
	return refused && !a.allowed[resource]
}

// unwatched tells what it means that a kind is not watched, and what to do about it.
func unwatched(resource schema.GroupVersionResource) string {
	text := fmt.Sprintf("%s are not watched: they are looked at every %v, as the service account of their owner", resource.GroupResource(), unwatchedAgain)
	if resource.GroupResource().String() == "secrets" {
		return text
	}
	return text + "; a ClusterRole with the label slipway.dev/aggregate-to-controller=true that allows to list and watch them has changes heeded at once"
}
