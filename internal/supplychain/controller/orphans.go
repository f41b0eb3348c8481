package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// swept is what came of looking for orphans.
type swept struct {
	// kept are entries for status.resources of those that could not be deleted.
	kept   []v1alpha1.ResourceStatus
	events []realize.Event
	// retry is why trying again may help; else nil. forbidden : a change of roles may help.
	retry     error
	forbidden bool
	// attention is what those need that are still there, and of which no watch tells.
	attention attention
}

// sweep deletes the objects that an owner controls and that are not among current, each with the identity given or,
// where that may not, the one that stamped it. identity may be nil.
func (w *owners) sweep(ctx context.Context, of *owner, current []v1alpha1.ResourceStatus, lifecycles map[string]string, identity *identity.Identity, now metav1.Time) swept {
	var result swept
	wanted, unsure := map[string]bool{}, map[string]bool{}
	for _, resource := range current {
		unsure[resource.Name] = !decided(resource)
		if ref := resource.StampedRef; ref != nil {
			wanted[identityOf(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), ref.Namespace, ref.Name)] = true
		}
	}
	var found []*unstructured.Unstructured
	for _, before := range of.status.Resources {
		if object := w.watchAgain(ctx, of, before, wanted, identity, &result); object != nil {
			found = append(found, object)
		}
	}
	seen := map[types.UID]bool{} // a kind that is served in two versions may be watched twice
	for _, object := range append(found, w.stamped.ownedBy(of.object.GetUID())...) {
		if in := object.GetNamespace(); in != "" && in != of.object.GetNamespace() {
			continue // no owner reference reaches into another namespace: it was made up
		}
		is := identityOf(object.GroupVersionKind(), object.GetNamespace(), object.GetName())
		if wanted[is] || unsure[fullName(object, v1alpha1.LabelResourceName)] || seen[object.GetUID()] || retained(object, current, lifecycles) {
			continue
		}
		seen[object.GetUID()] = true
		w.remove(ctx, of, object, identity, now, &result)
	}
	if len(found) > 0 && len(result.kept) > 0 {
		result.attention = soon
	}
	return result
}

// retained says whether object is one of several that were stamped one after the other for a resource that still is
// stamped from their template. Which of them stay is for the template's retentionPolicy to say. lifecycles holds what
// the lifecycles of templates are now, where that is known.
func retained(object *unstructured.Unstructured, current []v1alpha1.ResourceStatus, lifecycles map[string]string) bool {
	lifecycle := object.GetLabels()[v1alpha1.LabelTemplateLifecycle]
	if lifecycle == "" || lifecycle == v1alpha1.LifecycleMutable {
		return false
	}
	name := fullName(object, v1alpha1.LabelResourceName)
	for _, resource := range current {
		if resource.Name != name || resource.TemplateRef == nil || resource.StampedRef == nil {
			continue
		}
		kind := schema.FromAPIVersionAndKind(resource.StampedRef.APIVersion, resource.StampedRef.Kind).GroupKind()
		if kind != object.GroupVersionKind().GroupKind() {
			return false
		}
		now, known := lifecycles[name]
		from := fullName(object, v1alpha1.LabelTemplateName) // Cartographer leaves it empty where there were options
		return resource.TemplateRef.Kind == fullName(object, v1alpha1.LabelTemplateKind) &&
			(from == "" || resource.TemplateRef.Name == from) && (!known || now == lifecycle)
	}
	return false
}

// decided says whether it is known which object a resource wants. It is not while the resource fails and nothing is
// published of it: an object of its making may then be the wanted one.
func decided(resource v1alpha1.ResourceStatus) bool {
	submitted := realize.Condition(resource.Conditions, v1alpha1.ConditionResourceSubmitted)
	return resource.StampedRef != nil || (submitted != nil && submitted.Status == metav1.ConditionTrue)
}

// watchAgain makes sure that the kind of an object from an earlier life of this process is watched. While that cannot
// be, what was published of an object that is not among wanted stays: it may be an orphan. An orphan of a kind that may
// not be watched is returned, if it is there.
func (w *owners) watchAgain(ctx context.Context, of *owner, before v1alpha1.ResourceStatus, wanted map[string]bool, who *identity.Identity, result *swept) *unstructured.Unstructured {
	ref := before.StampedRef
	if ref == nil {
		return nil
	}
	isWanted := wanted[identityOf(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), ref.Namespace, ref.Name)]
	var orphan *unstructured.Unstructured
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	mapping, err := w.stamped.mapping(kind)
	if err == nil {
		var informer cache.SharedIndexInformer
		informer, err = w.stamped.watch(ctx, mapping.Resource)
		if err == nil && informer == nil && !isWanted {
			orphan, err = w.readOrphan(ctx, of, ref, mapping, who)
		}
	}
	if err == nil || meta.IsNoMatchError(err) { // a kind that is gone has no objects
		return orphan
	}
	w.log.Warn("what was stamped before cannot be watched", "kind", ref.Kind, "error", err)
	if !isWanted {
		result.kept = append(result.kept, before)
		result.retry = fmt.Errorf("looking for what was stamped before: %w", err)
	}
	return nil
}

// readOrphan reads what was stamped before, of a kind that may not be watched, as the owner's service account or the one
// that it was last known to have. nil means that it is not there, or is not the owner's any more.
func (w *owners) readOrphan(ctx context.Context, of *owner, ref *v1alpha1.StampedRef, mapping *meta.RESTMapping, who *identity.Identity) (*unstructured.Unstructured, error) {
	if who == nil {
		account, known := w.waiting.of(of.key())
		if !known {
			return nil, errors.New("it is not known which service account stamped the object")
		}
		var err error
		if who, err = w.identity(ctx, account); err != nil {
			return nil, err
		}
	}
	found, err := (&cluster{identity: who}).at(mapping, ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(found, of.object) {
		return nil, nil
	}
	return found, err
}

func identityOf(kind schema.GroupVersionKind, namespace, name string) string {
	return strings.Join([]string{kind.Group, kind.Kind, namespace, name}, "|")
}

// errBeingDeleted : the object is on its way; its end wakes the owner.
var errBeingDeleted = errors.New("it is being deleted")

func (w *owners) remove(ctx context.Context, of *owner, object *unstructured.Unstructured, identity *identity.Identity, now metav1.Time, result *swept) {
	mapping, err := w.stamped.mapping(object.GroupVersionKind())
	if err != nil {
		return // the kind is gone, and its objects with it
	}
	name := fmt.Sprintf("%s/%s", mapping.Resource.GroupResource(), object.GetName())
	if object.GetDeletionTimestamp() != nil {
		result.kept = append(result.kept, w.orphanStatus(of, object, mapping, errBeingDeleted, now))
		return
	}
	if err := w.stamped.delete(object, mapping.Resource, func() error { return w.delete(ctx, of, mapping, object, identity) }); err != nil {
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err): // roles, or the account, must change
			result.forbidden = true
		case result.retry == nil:
			result.retry = fmt.Errorf("deleting object [%s]: %w", name, err)
		}
		result.kept = append(result.kept, w.orphanStatus(of, object, mapping, err, now))
		return
	}
	if len(object.GetFinalizers()) > 0 {
		result.kept = append(result.kept, w.orphanStatus(of, object, mapping, errBeingDeleted, now))
	}
	result.events = append(result.events, realize.Event{Reason: realize.EventStampedObjectRemoved, Message: fmt.Sprintf("Deleted object [%s]", name)})
}

// delete asks first as the identity that the owner has now, then as the one that stamped the object.
func (w *owners) delete(ctx context.Context, of *owner, mapping *meta.RESTMapping, object *unstructured.Unstructured, now *identity.Identity) error {
	var refused error
	if now != nil {
		if refused = deleteAs(ctx, now, mapping, object); refused == nil || !apierrors.IsForbidden(refused) {
			return refused
		}
	}
	namespace, name, found := strings.Cut(object.GetAnnotations()[annotationAccount], "/")
	account := types.NamespacedName{Namespace: namespace, Name: name}
	if !found || (now != nil && now.Account == account) {
		if refused == nil {
			refused = errors.New("it is not known which service account stamped the object")
		}
		return refused
	}
	if now == nil {
		w.waiting.uses(of.key(), account)
	}
	before, err := w.identity(ctx, account)
	if err != nil {
		return errors.Join(refused, err)
	}
	return deleteAs(ctx, before, mapping, object)
}

func deleteAs(ctx context.Context, who *identity.Identity, mapping *meta.RESTMapping, object *unstructured.Unstructured) error {
	uid, policy := object.GetUID(), metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &policy}
	c := &cluster{identity: who}
	err := c.at(mapping, object.GetNamespace()).Delete(ctx, object.GetName(), options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another object by now
		return nil
	}
	return err
}

// orphanStatus keeps an object visible that nobody wants any more and that is still there, and says why.
func (w *owners) orphanStatus(of *owner, object *unstructured.Unstructured, mapping *meta.RESTMapping, why error, now metav1.Time) v1alpha1.ResourceStatus {
	status := v1alpha1.ResourceStatus{
		Name: fullName(object, v1alpha1.LabelResourceName),
		StampedRef: &v1alpha1.StampedRef{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(),
			Name: object.GetName(), Resource: mapping.Resource.GroupResource().String()},
		TemplateRef: &v1alpha1.ResourceTemplateRef{APIVersion: v1alpha1.GroupVersion.String(),
			Kind: fullName(object, v1alpha1.LabelTemplateKind), Name: fullName(object, v1alpha1.LabelTemplateName)},
	}
	var before []metav1.Condition
	for _, resource := range of.status.Resources {
		if resource.StampedRef != nil && *resource.StampedRef == *status.StampedRef {
			before = resource.Conditions
		}
	}
	status.Conditions = realize.Conditions([]metav1.Condition{{
		Type: v1alpha1.ConditionResourceSubmitted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOrphanNotDeleted,
		Message: fmt.Sprintf("the %s does not stamp this object any more, and it is still there: %v", w.family.blueprintWord, why),
	}}, before, now)
	return status
}
