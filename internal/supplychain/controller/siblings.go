package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

const (
	// annotationSequence numbers siblings in the order in which they were made: creation times are in whole seconds.
	annotationSequence = "slipway.dev/sequence"
	// defaultRetention is how many finished siblings of either end are kept where nobody says so.
	defaultRetention = 10
)

// siblings are the objects that were stamped one after the other for one purpose of an owner, each instead of changing
// the one before: the runs of a Runnable, or what a template with lifecycle immutable stamped for a resource.
type siblings struct {
	stamped  *stampedObjects
	identity *identity.Identity
	mapping  *meta.RESTMapping
	// namespace is where they are; it is not looked at for kinds that belong to no namespace.
	namespace string
	// owner controls them all, and labels are what they all carry.
	owner  types.UID
	labels map[string]string
	// unwatched : no watch tells of them.
	unwatched bool
}

// ensure returns the newest sibling as far as it is what wanted asks for, and makes one otherwise. What it asks for is
// remembered on the object, so that neither a restart nor what others write into the object leads to a new one; wanted
// asks for what an older sibling was, too, as that one is not the newest. all are the siblings, newest first, the
// returned one among them; made says that it is new.
func (s *siblings) ensure(ctx context.Context, wanted *unstructured.Unstructured) (all []*unstructured.Unstructured, made bool, err error) {
	asked, hash, err := s.prepare(wanted)
	if err != nil {
		return nil, false, err
	}
	informer, err := s.stamped.watch(ctx, s.mapping.Resource)
	if err != nil {
		return nil, false, err
	}
	if s.unwatched = informer == nil; !s.unwatched {
		// Those too that the watch has not shown yet: when it does, nobody is woken.
		kind := s.mapping.GroupVersionKind
		ofKind := slices.DeleteFunc(s.stamped.ownedBy(s.owner), func(object *unstructured.Unstructured) bool { return object.GroupVersionKind() != kind })
		if all = s.sorted(ofKind); len(all) > 0 && asksFor(all[0], asked, hash) {
			return all, false, nil
		}
	}
	// Before one is made for good, the API server itself is asked: the watch may not know yet what was made last.
	if all, err = s.live(ctx); err != nil {
		return nil, false, err
	}
	if len(all) > 0 && asksFor(all[0], asked, hash) {
		return all, false, nil
	}
	asked.SetAnnotations(with(asked.GetAnnotations(), map[string]string{annotationSequence: strconv.FormatInt(nextSequence(all), 10)}))
	created, err := s.at().Create(ctx, asked, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, false, fmt.Errorf("create: %w", err)
	}
	created.SetManagedFields(nil)
	if !s.unwatched {
		s.unwatched = !s.stamped.wrote(created, hash, s.mapping.Resource)
	}
	return append([]*unstructured.Unstructured{created}, all...), true, nil
}

// prepare returns what to create, and the hash of what it asks for. Who stamps it is not part of that.
func (s *siblings) prepare(wanted *unstructured.Unstructured) (*unstructured.Unstructured, string, error) {
	content, ok := withoutNulls(wanted.Object).(map[string]any)
	if !ok {
		return nil, "", errors.New("the object is empty")
	}
	asked := &unstructured.Unstructured{Object: content}
	if !namespaced(s.mapping) {
		asked.SetNamespace("")
	}
	annotations := with(asked.GetAnnotations(), nil)
	for _, ours := range []string{annotationHash, annotationAccount, annotationSequence} {
		delete(annotations, ours)
	}
	asked.SetAnnotations(annotations)
	hash := digest(asked.Object)
	asked.SetAnnotations(with(annotations, map[string]string{annotationHash: hash, annotationAccount: s.identity.Account.String()}))
	return asked, hash, nil
}

// asksFor says whether a sibling was made for what is asked now. One that has no hash was made by Cartographer; it is
// taken by its content, so that nothing runs again because its controller is another one now.
func asksFor(sibling, asked *unstructured.Unstructured, hash string) bool {
	if sibling.GetDeletionTimestamp() != nil {
		return false
	}
	if known, found := sibling.GetAnnotations()[annotationHash]; found {
		return known == hash
	}
	plain := asked.DeepCopy()
	annotations := plain.GetAnnotations()
	delete(annotations, annotationHash)
	delete(annotations, annotationAccount)
	plain.SetAnnotations(annotations)
	return holds(sibling.Object, plain.Object)
}

func with(annotations, more map[string]string) map[string]string {
	all := make(map[string]string, len(annotations)+len(more))
	for _, from := range []map[string]string{annotations, more} {
		for key, value := range from {
			all[key] = value
		}
	}
	return all
}

// live returns the siblings as the API server has them, newest first.
func (s *siblings) live(ctx context.Context) ([]*unstructured.Unstructured, error) {
	list, err := s.at().List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.labels).String()})
	if err != nil {
		return nil, fmt.Errorf("unable to list from api server: %w", err)
	}
	found := make([]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		found[i] = &list.Items[i]
	}
	return s.sorted(found), nil
}

// sorted returns those of objects that are siblings, newest first. No owner reference reaches into another namespace: one
// that is there was made up by somebody who may write there, and may not speak for the owner.
func (s *siblings) sorted(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	wanted := labels.SelectorFromSet(s.labels)
	ours := slices.DeleteFunc(slices.Clone(objects), func(object *unstructured.Unstructured) bool {
		owner := metav1.GetControllerOfNoCopy(object)
		return owner == nil || owner.UID != s.owner || namespaced(s.mapping) && object.GetNamespace() != s.namespace || !wanted.Matches(labels.Set(object.GetLabels()))
	})
	slices.SortStableFunc(ours, func(a, b *unstructured.Unstructured) int {
		if order := cmp.Compare(sequence(b), sequence(a)); order != 0 {
			return order
		}
		first, second := a.GetCreationTimestamp(), b.GetCreationTimestamp()
		if order := second.Compare(first.Time); order != 0 {
			return order
		}
		return cmp.Compare(a.GetName(), b.GetName())
	})
	return ours
}

// sequence is the number of a sibling; 0, the oldest, for what Cartographer made.
func sequence(object *unstructured.Unstructured) int64 {
	number, err := strconv.ParseInt(object.GetAnnotations()[annotationSequence], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

func nextSequence(all []*unstructured.Unstructured) int64 {
	last := int64(0)
	for _, object := range all {
		last = max(last, sequence(object))
	}
	return last + 1
}

func (s *siblings) at() interface {
	Create(context.Context, *unstructured.Unstructured, metav1.CreateOptions, ...string) (*unstructured.Unstructured, error)
	List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error)
} {
	return (&cluster{identity: s.identity}).at(s.mapping, s.namespace)
}

// retain deletes those of all (newest first) that policy does not keep: it keeps the newest that are healthy and the
// newest that are not, and every one of which health is not known. It returns those that were deleted, and what went
// wrong with the others.
func (s *siblings) retain(ctx context.Context, all []*unstructured.Unstructured, policy v1alpha1.RetentionPolicy, health func(*unstructured.Unstructured) metav1.ConditionStatus) ([]*unstructured.Unstructured, error) {
	left := map[metav1.ConditionStatus]int64{
		metav1.ConditionTrue: cmp.Or(policy.MaxSuccessfulRuns, defaultRetention), metav1.ConditionFalse: cmp.Or(policy.MaxFailedRuns, defaultRetention),
	}
	var deleted []*unstructured.Unstructured
	var failed []error
	for _, object := range all {
		status := health(object)
		rest, ends := left[status]
		if !ends || object.GetDeletionTimestamp() != nil {
			continue
		}
		if rest > 0 {
			left[status] = rest - 1
			continue
		}
		if err := deleteAs(ctx, s.identity, s.mapping, object); err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("deleting object [%s/%s]: %w", object.GetNamespace(), object.GetName(), err))
			continue
		}
		deleted = append(deleted, object)
	}
	return deleted, errors.Join(failed...)
}
