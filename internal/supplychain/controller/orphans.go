package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// orphan is an object that was stamped for the workload and that no resource of its chain wants any more.
type orphan struct {
	object  *unstructured.Unstructured
	mapping *meta.RESTMapping
}

// identityClient deletes on behalf of a service account.
type identityClient struct{ dynamic.Interface }

func clientOf(i *identity) *identityClient { return &identityClient{i.client} }

// abandon deletes all that was stamped for a workload which no chain wants, as the accounts that stamped it.
func (w *workloads) abandon(ctx context.Context, workload *v1alpha1.Workload, now metav1.Time, came *outcome) {
	before := workload.Status.Resources
	workload.Status.Resources = nil
	w.deleteOrphans(ctx, workload, before, now, func(ctx context.Context, o *orphan) (*identityClient, error) {
		return w.stamper(ctx, workload, o.object)
	}, came)
}

// stamper is the identity that stamped an object.
func (w *workloads) stamper(ctx context.Context, workload *v1alpha1.Workload, object *unstructured.Unstructured) (*identityClient, error) {
	namespace, name, found := strings.Cut(object.GetAnnotations()[annotationAccount], string(types.Separator))
	if !found {
		return nil, errors.New("it does not say which service account stamped it")
	}
	account := types.NamespacedName{Namespace: namespace, Name: name}
	w.waiting.uses(client.ObjectKeyFromObject(workload), account)
	stored := &corev1.ServiceAccount{}
	if err := w.client.Get(ctx, account, stored); err != nil {
		return nil, fmt.Errorf("service account [%s]: %w", account, err)
	}
	identity, err := w.identities.of(account, stored.UID)
	if err != nil {
		return nil, err
	}
	if _, err := identity.ready(ctx); err != nil {
		return nil, err
	}
	return clientOf(identity), nil
}

// deleteOrphans deletes what the workload owns and its new status does not name. before is the previous status: its
// kinds are looked through too, and its entries stay visible while their objects are there.
func (w *workloads) deleteOrphans(ctx context.Context, workload *v1alpha1.Workload, before []v1alpha1.ResourceStatus, now metav1.Time,
	as func(context.Context, *orphan) (*identityClient, error), came *outcome,
) {
	if err := w.watchKinds(ctx, before); err != nil {
		came.retry = errors.Join(came.retry, err)
		return
	}
	for _, object := range w.stamped.ownedBy(workload.UID) {
		if wanted(workload.Status.Resources, object) {
			continue
		}
		mapping, err := w.stamped.mapping(object.GroupVersionKind())
		if err != nil {
			continue // its kind is gone, and so is it
		}
		o := &orphan{object: object, mapping: mapping}
		err = w.deleteOrphan(ctx, o, as, came)
		if err == nil {
			continue
		}
		w.keepVisible(workload, before, o, err, now)
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			came.forbidden = true // roles or the account must change, which wakes the workload
			continue
		}
		if !errors.Is(err, errBeingDeleted) {
			came.retry = errors.Join(came.retry, err)
		}
	}
}

// errBeingDeleted: the object is on its way; its end wakes the workload.
var errBeingDeleted = errors.New("it is being deleted")

func (w *workloads) deleteOrphan(ctx context.Context, o *orphan, as func(context.Context, *orphan) (*identityClient, error), came *outcome) error {
	if o.object.GetDeletionTimestamp() != nil {
		return errBeingDeleted
	}
	actor, err := as(ctx, o)
	if err != nil {
		return err
	}
	resource := dynamic.ResourceInterface(actor.Resource(o.mapping.Resource))
	if namespaced(o.mapping) {
		resource = actor.Resource(o.mapping.Resource).Namespace(o.object.GetNamespace())
	}
	uid, background := o.object.GetUID(), metav1.DeletePropagationBackground
	err = resource.Delete(ctx, o.object.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, or another has its name
	}
	if err != nil {
		return err
	}
	came.events = append(came.events, realize.Event{Reason: realize.EventStampedObjectRemoved,
		Message: fmt.Sprintf("Deleted object [%s/%s]", o.mapping.Resource.GroupResource(), o.object.GetName())})
	if len(o.object.GetFinalizers()) > 0 {
		return errBeingDeleted
	}
	return nil
}

// watchKinds makes sure that the kinds of earlier stamped objects are watched: after a restart nobody else asks for
// kinds that no chain stamps any more.
func (w *workloads) watchKinds(ctx context.Context, resources []v1alpha1.ResourceStatus) error {
	for _, resource := range resources {
		if resource.StampedRef == nil {
			continue
		}
		mapping, err := w.stamped.mapping(schema.FromAPIVersionAndKind(resource.StampedRef.APIVersion, resource.StampedRef.Kind))
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := w.stamped.watch(ctx, mapping.Resource); err != nil {
			return err
		}
	}
	return nil
}

// wanted says whether one of the resources stands for the object.
func wanted(resources []v1alpha1.ResourceStatus, object *unstructured.Unstructured) bool {
	for _, resource := range resources {
		if sameObject(resource.StampedRef, object) {
			return true
		}
	}
	return false
}

// sameObject compares without the version: the same object is served in several.
func sameObject(ref *v1alpha1.StampedRef, object *unstructured.Unstructured) bool {
	if ref == nil {
		return false
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	return kind == object.GroupVersionKind().GroupKind() && ref.Name == object.GetName() && (ref.Namespace == "" || ref.Namespace == object.GetNamespace())
}

// keepVisible puts the earlier entry of an orphan that is still there behind the others, with what holds it up.
func (w *workloads) keepVisible(workload *v1alpha1.Workload, before []v1alpha1.ResourceStatus, o *orphan, why error, now metav1.Time) {
	for i := range before {
		entry := before[i].DeepCopy()
		if !sameObject(entry.StampedRef, o.object) || named(workload.Status.Resources, entry.Name) {
			continue
		}
		entry.Outputs = nil
		entry.Conditions = realize.Conditions([]metav1.Condition{{
			Type: v1alpha1.ConditionResourceSubmitted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOrphanNotDeleted,
			Message: fmt.Sprintf("the supply chain does not want [%s/%s] any more, and it is still there: %v", entry.StampedRef.Resource, entry.StampedRef.Name, why),
		}}, before[i].Conditions, now)
		workload.Status.Resources = append(workload.Status.Resources, *entry)
		return
	}
}

func named(resources []v1alpha1.ResourceStatus, name string) bool {
	for _, resource := range resources {
		if resource.Name == name {
			return true
		}
	}
	return false
}
