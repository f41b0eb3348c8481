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

// sweeping is one search for the orphans of an owner: what it controls and does not stamp any more.
type sweeping struct {
	*owners

	of *owner
	// current is the new status.resources, and lifecycles what the lifecycles of their templates are, where known.
	current    []v1alpha1.ResourceStatus
	lifecycles map[string]string
	// identity is the one that the owner has now, nil for none; before is the blueprint by which it was realised last.
	identity *identity.Identity
	before   v1alpha1.ObjectReference
	now      metav1.Time

	// wanted are the objects of current, by identity; unsure are the resources of which it is not known what they want.
	wanted, unsure map[string]bool
	result         swept
}

// sweep deletes the objects that the owner controls and that are not wanted, each with the identity that the owner has
// or, where that may not, the one that stamped it.
func (s *sweeping) sweep(ctx context.Context) swept {
	s.wanted, s.unsure = map[string]bool{}, map[string]bool{}
	for _, resource := range s.current {
		s.unsure[resource.Name] = !decided(resource)
		if ref := resource.StampedRef; ref != nil {
			s.wanted[identityOfRef(ref)] = true
		}
	}
	found := s.unwatched(ctx)
	seen := map[types.UID]bool{} // a kind that is served in two versions may be watched twice
	for _, object := range append(found, s.stamped.ownedBy(s.of.object.GetUID())...) {
		if in := object.GetNamespace(); in != "" && in != s.of.object.GetNamespace() {
			continue // no owner reference reaches into another namespace: it was made up
		}
		is := identityOf(object.GroupVersionKind(), object.GetNamespace(), object.GetName())
		if s.wanted[is] || s.unsure[fullName(object, v1alpha1.LabelResourceName)] || seen[object.GetUID()] || retained(object, s.current, s.lifecycles) {
			continue
		}
		seen[object.GetUID()] = true
		s.remove(ctx, object)
	}
	if len(found) > 0 && len(s.result.kept) > 0 {
		s.result.attention = soon
	}
	return s.result
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

func identityOf(kind schema.GroupVersionKind, namespace, name string) string {
	return strings.Join([]string{kind.Group, kind.Kind, namespace, name}, "|")
}

func identityOfRef(ref *v1alpha1.StampedRef) string {
	return identityOf(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), ref.Namespace, ref.Name)
}

// errBeingDeleted : the object is on its way; its end wakes the owner.
var errBeingDeleted = errors.New("it is being deleted")

// remove deletes an orphan, or keeps it visible.
func (s *sweeping) remove(ctx context.Context, object *unstructured.Unstructured) {
	mapping, err := s.stamped.mapping(object.GroupVersionKind())
	if err != nil {
		return // the kind is gone, and its objects with it
	}
	name := fmt.Sprintf("%s/%s", mapping.Resource.GroupResource(), object.GetName())
	if object.GetDeletionTimestamp() != nil {
		s.keep(s.statusOf(object, mapping), errBeingDeleted)
		return
	}
	recorded := object.GetAnnotations()[annotationAccount]
	err = s.stamped.delete(object, mapping.Resource, func() error {
		return s.as(ctx, accountNamed(recorded), func(who *identity.Identity) error { return deleteAs(ctx, who, mapping, object) })
	})
	if err != nil {
		s.keep(s.statusOf(object, mapping), fmt.Errorf("deleting object [%s]: %w", name, err))
		return
	}
	if len(object.GetFinalizers()) > 0 {
		s.keep(s.statusOf(object, mapping), errBeingDeleted)
	}
	s.result.events = append(s.result.events, realize.Event{Reason: realize.EventStampedObjectRemoved, Message: fmt.Sprintf("Deleted object [%s]", name)})
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

// statusOf is the entry of status.resources of an orphan.
func (s *sweeping) statusOf(object *unstructured.Unstructured, mapping *meta.RESTMapping) v1alpha1.ResourceStatus {
	status := v1alpha1.ResourceStatus{
		Name: fullName(object, v1alpha1.LabelResourceName),
		StampedRef: &v1alpha1.StampedRef{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(),
			Name: object.GetName(), Resource: mapping.Resource.GroupResource().String()},
		TemplateRef: &v1alpha1.ResourceTemplateRef{APIVersion: v1alpha1.GroupVersion.String(),
			Kind: fullName(object, v1alpha1.LabelTemplateKind), Name: fullName(object, v1alpha1.LabelTemplateName)},
	}
	for _, resource := range s.of.status.Resources {
		if resource.StampedRef != nil && *resource.StampedRef == *status.StampedRef {
			status.ServiceAccountRef, status.Conditions = resource.ServiceAccountRef, resource.Conditions
		}
	}
	return status
}

// keep keeps an object visible that nobody wants any more and that may still be there, and says why. status is its
// entry, with the conditions that were published of it before.
func (s *sweeping) keep(status v1alpha1.ResourceStatus, why error) {
	switch {
	case errors.Is(why, errBeingDeleted): // its end wakes the owner
	case apierrors.IsForbidden(why), apierrors.IsNotFound(why), errors.Is(why, errStamperUnknown): // roles, or the account, must change
		s.result.forbidden = true
	case s.result.retry == nil:
		s.result.retry = why
	}
	status.Conditions = realize.Conditions([]metav1.Condition{{
		Type: v1alpha1.ConditionResourceSubmitted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOrphanNotDeleted,
		Message: fmt.Sprintf("the %s does not stamp this object any more, and it is still there: %v", s.family.blueprintWord, why),
	}}, status.Conditions, s.now)
	s.result.kept = append(s.result.kept, status)
}
