package controller

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// selectedKinds watches the metadata of the kinds that Runnables select objects of, and wakes the Runnables for which
// an object is, or was, a candidate. A kind stays watched once it was asked for, as long as that is allowed.
type selectedKinds struct {
	reader metadata.Interface
	client client.Client
	access *access

	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	life  context.Context // the controller's
	kinds map[schema.GroupVersionKind]*kindWatch
}

// Start takes the queue to wake Runnables in. It is a source of the controller, so that runs before any reconcile.
func (s *selectedKinds) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.life = queue, ctx
	return nil
}

// watch sees to it that objects of a kind wake Runnables. The kind must be one that the API server knows as resource, and
// that the controller may watch.
func (s *selectedKinds) watch(kind schema.GroupVersionKind, resource schema.GroupVersionResource) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[kind] != nil {
		return nil
	}
	informer := metadatainformer.NewFilteredMetadataInformer(s.reader, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	wake := func(object any) {
		if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		if found, ok := object.(*metav1.PartialObjectMetadata); ok {
			s.wake(s.selecting(s.life, kind, found))
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    wake,
		UpdateFunc: func(before, after any) { wake(before); wake(after) },
		DeleteFunc: wake,
	})
	if err == nil {
		err = informer.SetTransform(func(object any) (any, error) {
			if found, ok := object.(*metav1.PartialObjectMetadata); ok {
				found.ManagedFields = nil
			}
			return object, nil
		})
	}
	if err == nil {
		err = informer.SetWatchErrorHandlerWithContext(s.access.whenRefused(resource, func() { s.unwatch(kind) }))
	}
	if err != nil {
		return err
	}
	life, end := context.WithCancel(s.life)
	s.kinds[kind] = &kindWatch{SharedIndexInformer: informer, end: end}
	go informer.RunWithContext(life)
	return nil
}

// unwatch ends the watch of a kind, and wakes all Runnables that select objects of it.
func (s *selectedKinds) unwatch(kind schema.GroupVersionKind) {
	s.mu.Lock()
	ended := s.kinds[kind]
	delete(s.kinds, kind)
	s.mu.Unlock()
	if ended != nil {
		ended.end()
		s.wake(s.selecting(s.life, kind, nil))
	}
}

func (s *selectedKinds) wake(runnables []reconcile.Request) {
	for _, one := range runnables {
		s.queue.Add(one)
	}
}

// selecting returns the Runnables whose selector fits an object; with nil, all that select objects of the kind.
func (s *selectedKinds) selecting(ctx context.Context, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata) []reconcile.Request {
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
		if object == nil {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(runnable)})
			continue
		}
		elsewhere := object.GetNamespace() != "" && object.GetNamespace() != runnable.Namespace
		if !elsewhere && labels.SelectorFromSet(selector.MatchingLabels).Matches(labels.Set(object.GetLabels())) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(runnable)})
		}
	}
	return found
}
