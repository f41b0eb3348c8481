package controller

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	indexOwner   = "owner"
	syncPatience = 5 * time.Second
)

// ownerLabels are the labels of a stamped object that name its owner. Without a label for the namespace the owner is in
// the object's own.
type ownerLabels struct{ name, namespace string }

// stampedObjects watches what was stamped for the owners of one kind: one informer per kind of object, which holds only
// objects that carry the label of the owner's name, and wakes the owner of each that changes.
type stampedObjects struct {
	owner  ownerLabels
	reader dynamic.Interface
	mapper meta.RESTMapper
	access *access
	log    *slog.Logger

	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	life  context.Context // the controller's
	kinds map[schema.GroupVersionResource]*kindWatch
	// mappings are those that were found: the mapper never forgets one either, but takes long to find it again.
	mappings map[schema.GroupVersionKind]*meta.RESTMapping
	// written holds what our own writes returned until the watch has caught up, and what is settled: see settled.
	written map[types.UID]written
	// pending are the owners of the objects in written that the watch has not shown yet as they were written.
	pending map[types.UID]types.UID
	// looked holds, by owner and by the object's identity, what is settled of the objects of kinds that are not watched.
	// It has no more of an owner than its status names, since nothing tells when an object goes: see keepOnly.
	looked map[types.NamespacedName]map[string]written
}

// kindWatch is the watch of one kind.
type kindWatch struct {
	cache.SharedIndexInformer

	end context.CancelFunc
}

func newStampedObjects(owner ownerLabels, reader dynamic.Interface, mapper meta.RESTMapper, access *access, log *slog.Logger) *stampedObjects {
	return &stampedObjects{
		owner: owner, reader: reader, mapper: mapper, access: access, log: log,
		kinds:    map[schema.GroupVersionResource]*kindWatch{},
		mappings: map[schema.GroupVersionKind]*meta.RESTMapping{},
		written:  map[types.UID]written{},
		pending:  map[types.UID]types.UID{},
		looked:   map[types.NamespacedName]map[string]written{},
	}
}

// Start takes the queue to wake workloads in. It is a source of the controller, so that runs before any reconcile.
func (s *stampedObjects) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.life = queue, ctx
	return nil
}

// mapping finds how a kind is served.
func (s *stampedObjects) mapping(kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	s.mu.Lock()
	known := s.mappings[kind]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	found, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("finding kind %s: %w", kind, err)
	}
	s.mu.Lock()
	s.mappings[kind] = found
	s.mu.Unlock()
	return found, nil
}

// watch returns the informer of a kind, started; nil for a kind that the controller may not watch. Whoever asks first
// waits until it has its first list, up to some seconds: a kind that cannot be watched must not hold up the others for
// ever.
func (s *stampedObjects) watch(ctx context.Context, resource schema.GroupVersionResource) (cache.SharedIndexInformer, error) {
	may, err := s.access.mayWatch(ctx, resource)
	if err != nil {
		return nil, err
	}
	if !may {
		s.unwatch(resource)
		return nil, nil
	}
	s.mu.Lock()
	informer, known := s.kinds[resource]
	if !known {
		if informer, err = s.informer(resource); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.kinds[resource] = informer
		var life context.Context
		life, informer.end = context.WithCancel(s.life)
		go informer.RunWithContext(life)
	}
	s.mu.Unlock()
	if known {
		return informer, nil
	}
	patient, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	if !cache.WaitForCacheSync(patient.Done(), informer.HasSynced) {
		s.log.Warn("the watch of a stamped kind has not begun yet", "resource", resource.String())
		if s.access.refuses(resource) {
			return nil, nil
		}
	}
	return informer, nil
}

// unwatch ends the watch of a kind that the controller may not watch any more. The owners of all that it has shown are
// woken: from now on they look themselves, until the kind may be watched again.
func (s *stampedObjects) unwatch(resource schema.GroupVersionResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := s.kinds[resource]
	if kind == nil {
		return
	}
	delete(s.kinds, resource)
	kind.end()
	objects := kind.GetStore().List()
	for uid := range s.pending {
		object := s.written[uid].object
		if mapping := s.mappings[object.GroupVersionKind()]; mapping != nil && mapping.Resource == resource {
			objects = append(objects, object)
		}
	}
	for _, object := range objects {
		found, ok := object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		if last, known := s.written[found.GetUID()]; known {
			s.look(found, last)
		}
		delete(s.written, found.GetUID())
		delete(s.pending, found.GetUID())
		s.queue.Add(reconcile.Request{NamespacedName: s.ownerOf(found)})
	}
	go s.watchWhenAllowed(s.life, resource)
}

// watchWhenAllowed begins the watch of a kind again once that is allowed. What the watch then shows wakes the owners.
func (s *stampedObjects) watchWhenAllowed(ctx context.Context, resource schema.GroupVersionResource) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(askAgain):
		}
		if informer, err := s.watch(ctx, resource); err == nil && informer != nil {
			return
		}
	}
}

func (s *stampedObjects) informer(resource schema.GroupVersionResource) (*kindWatch, error) {
	onlyStamped := func(options *metav1.ListOptions) { options.LabelSelector = s.owner.name }
	indexers := cache.Indexers{indexOwner: func(object any) ([]string, error) {
		if found, ok := object.(*unstructured.Unstructured); ok {
			if owner := metav1.GetControllerOfNoCopy(found); owner != nil {
				return []string{string(owner.UID)}, nil
			}
		}
		return nil, nil
	}}
	informer := dynamicinformer.NewFilteredDynamicInformer(s.reader, resource, metav1.NamespaceAll, 0, indexers, onlyStamped).Informer()
	err := informer.SetWatchErrorHandlerWithContext(s.access.whenRefused(resource, func() { s.unwatch(resource) }))
	if err != nil {
		return nil, fmt.Errorf("preparing the watch of %s: %w", resource, err)
	}
	err = informer.SetTransform(func(object any) (any, error) {
		if found, ok := object.(*unstructured.Unstructured); ok {
			found.SetManagedFields(nil) // nothing reads them, and they are half of the object
		}
		return object, nil
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the watch of %s: %w", resource, err)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { s.seen(object) },
		UpdateFunc: func(_, object any) { s.seen(object) },
		DeleteFunc: s.gone,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the watch of %s: %w", resource, err)
	}
	return &kindWatch{SharedIndexInformer: informer}, nil
}

func (s *stampedObjects) seen(object any) {
	if found, ok := object.(*unstructured.Unstructured); ok && !s.ours(found) {
		s.wake(found)
	}
}

// ours says whether object is just what our last write of it returned: its owner was judged by that. It also lets go of
// what the watch has caught up with.
func (s *stampedObjects) ours(object *unstructured.Unstructured) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.written[object.GetUID()]
	if !known {
		return false
	}
	if last.object != nil && !older(object, last.object) {
		s.caughtUp(object.GetUID())
	}
	return last.version == object.GetResourceVersion()
}

func (s *stampedObjects) gone(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	found, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	delete(s.written, found.GetUID())
	delete(s.pending, found.GetUID())
	s.mu.Unlock()
	s.wake(found)
}

// ownerOf names the owner for which an object says it was stamped; without a name where it says nothing.
func (s *stampedObjects) ownerOf(object *unstructured.Unstructured) types.NamespacedName {
	owner := types.NamespacedName{Namespace: object.GetNamespace(), Name: fullName(object, s.owner.name)}
	if s.owner.namespace != "" {
		owner.Namespace = fullName(object, s.owner.namespace)
	}
	return owner
}

// wake puts the owner of a stamped object in the queue.
func (s *stampedObjects) wake(object *unstructured.Unstructured) {
	s.mu.Lock()
	queue := s.queue
	s.mu.Unlock()
	queue.Add(reconcile.Request{NamespacedName: s.ownerOf(object)})
}

// fullName reads a name from its label or, where a label had no room for it, from the annotation beside it.
func fullName(object *unstructured.Unstructured, key string) string {
	if name, ok := object.GetAnnotations()[key]; ok {
		return name
	}
	return object.GetLabels()[key]
}

// ownedBy returns the objects of all watched kinds that the owner with this UID controls, also those that it has just
// written and that the watch has not shown yet.
func (s *stampedObjects) ownedBy(uid types.UID) []*unstructured.Unstructured {
	s.mu.Lock()
	informers := slices.Collect(maps.Values(s.kinds))
	s.mu.Unlock()
	var owned []*unstructured.Unstructured
	for _, informer := range informers {
		found, err := informer.GetIndexer().ByIndex(indexOwner, string(uid))
		if err != nil {
			continue
		}
		for _, object := range found {
			if object, ok := object.(*unstructured.Unstructured); ok {
				owned = append(owned, object)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for object, owner := range s.pending {
		shown := func(other *unstructured.Unstructured) bool { return other.GetUID() == object }
		if owner == uid && !slices.ContainsFunc(owned, shown) {
			owned = append(owned, s.written[object].object)
		}
	}
	return slices.DeleteFunc(owned, func(object *unstructured.Unstructured) bool { return s.written[object.GetUID()].deleted(object) })
}
