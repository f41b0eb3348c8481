package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// failure is why a Release is not as it is to be. Its message is the same for each attempt that ends alike, since the status
// is written whenever it changes.
type failure struct {
	reason  string
	message string
}

func (f *failure) Error() string { return f.message }

func failed(reason, format string, arguments ...any) *failure {
	return &failure{reason: reason, message: fmt.Sprintf(format, arguments...)}
}

// resources is the API as the account sees it, for one object.
func (t target) in(api dynamic.Interface) dynamic.ResourceInterface {
	if t.name.Namespace == "" {
		return api.Resource(t.resource)
	}
	return api.Resource(t.resource).Namespace(t.name.Namespace)
}

// members are what the Release names, and which of those are of kinds that are not known yet.
func (r *reconciler) members(release *v1alpha1.Release, objects []*unstructured.Unstructured) (known []target, unknown []v1alpha1.ReleasedObject, err error) {
	for _, object := range inOrder(objects) {
		found, isUnknown, err := r.locate(release, object)
		if err != nil {
			return nil, nil, err
		}
		if isUnknown {
			if !bringsKind(objects, found.name) {
				return nil, nil, failed(v1alpha1.ReasonApplyFailed, "%s: the cluster does not know this kind (%s/%s). Install what brings it first.", called(found.name), found.name.Group, found.name.Version)
			}
			unknown = append(unknown, found.name)
			continue
		}
		if slices.ContainsFunc(known, func(other target) bool { return same(other.name, found.name) }) {
			return nil, nil, failed(v1alpha1.ReasonUnpackable, "%s is there twice.", called(found.name))
		}
		known = append(known, found)
	}
	return known, unknown, nil
}

// bringsKind says whether one of the objects defines the kind of another.
func bringsKind(objects []*unstructured.Unstructured, name v1alpha1.ReleasedObject) bool {
	return slices.ContainsFunc(objects, func(object *unstructured.Unstructured) bool {
		group, _, _ := unstructured.NestedString(object.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
		return object.GetKind() == "CustomResourceDefinition" && group == name.Group && kind == name.Kind
	})
}

// apply applies all members. First it asks whether they would be taken, so that a revision with a mistake changes nothing.
func (r *reconciler) apply(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, members []target) error {
	fresh := map[string]bool{}
	for _, member := range members {
		if member.name.Kind == "Namespace" {
			fresh[member.name.Name] = true
		}
	}
	for _, member := range members {
		if err := r.claim(ctx, api, release, member); err != nil {
			return err
		}
		err := r.applyOne(ctx, api, release, member, metav1.DryRunAll)
		// A namespace of the same release is not there in a trial.
		if apierrors.IsNotFound(err) && fresh[member.name.Namespace] {
			continue
		}
		if err != nil {
			return refused(member.name, err)
		}
	}
	for _, member := range members {
		if err := r.applyOne(ctx, api, release, member); err != nil {
			return refused(member.name, err)
		}
	}
	return nil
}

func (r *reconciler) applyOne(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, member target, dryRun ...string) error {
	object := member.object.DeepCopy()
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelPartOf] = idOf(release)
	object.SetLabels(labels)
	if member.name.Namespace == release.Namespace {
		object.SetOwnerReferences([]metav1.OwnerReference{ownerOf(release)})
	}
	_, err := member.in(api).Apply(ctx, member.name.Name, object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun})
	return err
}

// claim refuses an object that is another set's.
func (r *reconciler) claim(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, member target) error {
	found, err := member.in(api).Get(ctx, member.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return refused(member.name, err)
	}
	if other := found.GetLabels()[labelPartOf]; other != "" && other != idOf(release) {
		return failed(v1alpha1.ReasonApplyFailed, "%s belongs to another ApplySet, %s: one object is released in one place.", called(member.name), other)
	}
	return nil
}

// refused says which object the API server does not take, and why. What is no answer of it is passed on.
func refused(name v1alpha1.ReleasedObject, err error) error {
	answer := apierrors.APIStatus(nil)
	if !errors.As(err, &answer) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) {
		return fmt.Errorf("applying %s: %w", called(name), err)
	}
	if apierrors.IsForbidden(err) {
		return failed(v1alpha1.ReasonForbidden, "%s: %s. Allow it with a RoleBinding, to the ClusterRole slipway-deliverable of profile testing or to a role of your own.", called(name), answer.Status().Message)
	}
	return failed(v1alpha1.ReasonApplyFailed, "%s: %s", called(name), answer.Status().Message)
}

// prune deletes what the inventory has and the members have not, last applied first, and only what is of this set still.
func (r *reconciler) prune(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, leftovers []v1alpha1.ReleasedObject) error {
	for _, name := range slices.Backward(leftovers) {
		mapping, err := r.mapper.RESTMapping(schema.GroupKind{Group: name.Group, Kind: name.Kind}, name.Version)
		if meta.IsNoMatchError(err) {
			continue // with its kind it is gone
		}
		if err != nil {
			return fmt.Errorf("asking for kind %s: %w", name.Kind, err)
		}
		resources := target{resource: mapping.Resource, name: name}.in(api)
		found, err := resources.Get(ctx, name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return refused(name, err)
		}
		if found.GetLabels()[labelPartOf] != idOf(release) {
			continue // it was given to somebody else
		}
		uid, background := found.GetUID(), metav1.DeletePropagationBackground
		err = resources.Delete(ctx, name.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return refused(name, err)
		}
		r.log.Info("object pruned", "release", release.Namespace+"/"+release.Name, "object", called(name))
	}
	return nil
}

// union lists the objects of both, those of the first first.
func union(a, b []v1alpha1.ReleasedObject) []v1alpha1.ReleasedObject {
	all := slices.Clone(a)
	for _, name := range b {
		if !slices.ContainsFunc(all, func(other v1alpha1.ReleasedObject) bool { return same(name, other) }) {
			all = append(all, name)
		}
	}
	return all
}

// without lists the objects of the first that are not in the second.
func without(a, b []v1alpha1.ReleasedObject) []v1alpha1.ReleasedObject {
	return slices.DeleteFunc(slices.Clone(a), func(name v1alpha1.ReleasedObject) bool {
		return slices.ContainsFunc(b, func(other v1alpha1.ReleasedObject) bool { return same(name, other) })
	})
}
