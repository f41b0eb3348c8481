package controller

import (
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// written is the last write of an object.
type written struct {
	object  *unstructured.Unstructured
	version string
	// settled is the fingerprint of the object as the API server has it after a write of hash. It says that what
	// still differs from what we want is how the API server puts it, and not drift.
	hash, settled string
	// gone : it was deleted, and nothing keeps the API server from removing it at once.
	gone bool
}

// deleted says whether object is only still there because the watch has not caught up.
func (w written) deleted(object *unstructured.Unstructured) bool {
	return w.gone && object.GetDeletionTimestamp() == nil
}

// cached returns the object as the watch or our own last write has it, whichever is later; nil where neither has.
func (s *stampedObjects) cached(informer cache.SharedIndexInformer, namespace, name string) *unstructured.Unstructured {
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	found, exists, err := informer.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	object, ok := found.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.written[object.GetUID()]
	if last.object == nil {
		return object
	}
	if older(object, last.object) {
		return last.object
	}
	s.caughtUp(object.GetUID())
	return object
}

// older says whether a was read before b was written. What is no number cannot be compared, and is not older.
func older(a, b *unstructured.Unstructured) bool {
	first, err := strconv.ParseUint(a.GetResourceVersion(), 10, 64)
	if err != nil {
		return false
	}
	second, err := strconv.ParseUint(b.GetResourceVersion(), 10, 64)
	return err == nil && first < second
}

// wrote notes a write of ours, and says whether a watch will show it. Of what is not watched the object is not kept:
// nothing would ever tell that it is old.
func (s *stampedObjects) wrote(object *unstructured.Unstructured, hash string, resource schema.GroupVersionResource) (watched bool) {
	last := written{object: object, version: object.GetResourceVersion(), hash: hash, settled: fingerprint(object)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[resource] == nil {
		s.look(object, last)
		return false
	}
	s.written[object.GetUID()] = last
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		s.pending[object.GetUID()] = owner.UID
	}
	return true
}

// look notes what is settled of an object of a kind that is not watched. The caller holds the lock.
func (s *stampedObjects) look(object *unstructured.Unstructured, last written) {
	owner := s.ownerOf(object)
	if s.looked[owner] == nil {
		s.looked[owner] = map[string]written{}
	}
	s.looked[owner][identityOf(object.GroupVersionKind(), object.GetNamespace(), object.GetName())] = written{hash: last.hash, settled: last.settled}
}

// keepOnly forgets what is known of objects of an owner whose kinds are not watched, but for those in its status. An
// owner that is gone has none.
func (s *stampedObjects) keepOnly(owner types.NamespacedName, resources []v1alpha1.ResourceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	looked := s.looked[owner]
	maps.DeleteFunc(looked, func(object string, _ written) bool {
		return !slices.ContainsFunc(resources, func(resource v1alpha1.ResourceStatus) bool {
			return resource.StampedRef != nil && identityOfRef(resource.StampedRef) == object
		})
	})
	if len(looked) == 0 {
		delete(s.looked, owner)
	}
}

// caughtUp notes that the watch has shown an object as it was written, or later. The caller holds the lock.
func (s *stampedObjects) caughtUp(object types.UID) {
	last := s.written[object]
	last.object = nil
	s.written[object] = last
	delete(s.pending, object)
}

// delete has an object deleted, by what is given, and remembers that it was until the watch shows it.
func (s *stampedObjects) delete(object *unstructured.Unstructured, resource schema.GroupVersionResource, by func() error) error {
	s.mu.Lock()
	watched := s.kinds[resource] != nil
	s.mu.Unlock()
	if !watched {
		return by() // nothing would tell of the end
	}
	note := func(change func(*written)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		last := s.written[object.GetUID()]
		change(&last)
		s.written[object.GetUID()] = last
	}
	// Noted before, since the watch may show the end before the answer is here, and lets go of the note then.
	note(func(last *written) { last.gone = len(object.GetFinalizers()) == 0 })
	err := by()
	if err != nil {
		note(func(last *written) { last.gone = false })
	}
	return err
}

// settled says whether object is just as the API server left it when it was last given what hash stands for.
func (s *stampedObjects) settled(object *unstructured.Unstructured, hash string) bool {
	s.mu.Lock()
	last, watched := s.written[object.GetUID()]
	if !watched {
		last = s.looked[s.ownerOf(object)][identityOf(object.GroupVersionKind(), object.GetNamespace(), object.GetName())]
	}
	s.mu.Unlock()
	return last.hash == hash && last.settled != "" && last.settled == fingerprint(object)
}
