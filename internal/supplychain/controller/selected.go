package controller

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// selectedKinds watches the metadata of the kinds that Runnables select objects of, and wakes the Runnables for which
// an object is, or was, a candidate. A kind stays watched once it was asked for.
type selectedKinds struct {
	cache  cache.Cache
	client client.Client

	mu         sync.Mutex
	controller controller.Controller
	kinds      map[schema.GroupVersionKind]bool
}

// watch sees to it that objects of a kind wake Runnables. The kind must be one that the API server knows.
func (s *selectedKinds) watch(kind schema.GroupVersionKind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[kind] {
		return nil
	}
	object := partial(kind)
	err := s.controller.Watch(source.Kind(s.cache, object, handler.TypedEnqueueRequestsFromMapFunc(
		func(ctx context.Context, object *metav1.PartialObjectMetadata) []reconcile.Request {
			return s.selecting(ctx, kind, object)
		})))
	if err != nil {
		return err
	}
	s.kinds[kind] = true
	return nil
}

// selecting returns the Runnables whose selector fits an object.
func (s *selectedKinds) selecting(ctx context.Context, kind schema.GroupVersionKind, object client.Object) []reconcile.Request {
	var list v1alpha1.RunnableList
	if err := s.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache is stopping
	}
	var found []reconcile.Request
	for i := range list.Items {
		runnable := &list.Items[i]
		selector := runnable.Spec.Selector
		if selector == nil || schema.FromAPIVersionAndKind(selector.Resource.APIVersion, selector.Resource.Kind) != kind {
			continue
		}
		elsewhere := object.GetNamespace() != "" && object.GetNamespace() != runnable.Namespace
		if !elsewhere && labels.SelectorFromSet(selector.MatchingLabels).Matches(labels.Set(object.GetLabels())) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(runnable)})
		}
	}
	return found
}
