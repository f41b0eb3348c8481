package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
)

// owners reconciles the owners of one family.
type owners struct {
	*accounts
	family   *family
	renderer *template.Renderer
	stamped  *stampedObjects
	events   *teller
	metrics  *metrics
	held     *held
	log      *slog.Logger

	hideSecrets bool
}

// outcome is what a reconcile came to.
type outcome struct {
	status    v1alpha1.OwnerStatus
	blueprint v1alpha1.ObjectReference
	events    []realize.Event
	retry     error
	forbidden bool
	attention attention
	// wrote says that objects were stamped, or changed.
	wrote bool
}

// Reconcile realises one owner and publishes how far it is.
func (w *owners) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := w.family.newOwner()
	if err := w.client.Get(ctx, request.NamespacedName, object); err != nil {
		if apierrors.IsNotFound(err) {
			w.waiting.forget(request.NamespacedName)
			w.held.forget(request.NamespacedName)
			w.stamped.keepOnly(request.NamespacedName, nil)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if object.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil // what it owns goes with it
	}
	object.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(w.family.owner)) // templates may ask for it
	of := ownerOf(object)
	defer w.events.looking()()
	begin := metav1.Now()
	out := w.realize(ctx, of, begin.Rfc3339Copy())
	w.metrics.realized(w.family.owner, begin.Time)
	w.stamped.keepOnly(request.NamespacedName, out.status.Resources)
	out.status.ObservedGeneration = object.GetGeneration()
	if !equality.Semantic.DeepEqual(&out.status, of.status) || out.blueprint != *of.blueprint {
		if pause := w.held.hold(request.NamespacedName, out.wrote, out.awaits(of)); pause > 0 {
			return ctrl.Result{RequeueAfter: pause}, nil
		}
		*of.status, *of.blueprint = out.status, out.blueprint
		if err := w.client.Status().Update(ctx, object, client.FieldValidation(unvalidated)); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: retryFirst}, nil // our view was old; its successor is on the way
			}
			return ctrl.Result{}, fmt.Errorf("failed to update status for %s: %w", w.family.ownerWord, err)
		}
		for _, event := range out.events {
			w.tell(of, event)
		}
	} else {
		w.held.forget(request.NamespacedName) // what was held has come to nothing new
	}
	switch {
	case out.retry != nil:
		return ctrl.Result{}, out.retry
	case out.forbidden:
		return out.attention.before(w.waiting.refused(request.NamespacedName), isReady(out.status.Conditions)), nil
	}
	w.waiting.allowed(request.NamespacedName)
	return out.attention.again(isReady(out.status.Conditions)), nil
}

// awaits says whether there is nothing new but that something is awaited. An object that the status does not name yet is
// new: should the next look stamp another one in its place, the status is how the first is found, and goes.
func (o *outcome) awaits(of *owner) bool {
	if o.retry != nil || o.blueprint != *of.blueprint || !meta.IsStatusConditionPresentAndEqual(o.status.Conditions, v1alpha1.ConditionReady, metav1.ConditionUnknown) {
		return false
	}
	named := map[v1alpha1.StampedRef]bool{}
	for _, resource := range of.status.Resources {
		if resource.StampedRef != nil {
			named[*resource.StampedRef] = true
		}
	}
	return !slices.ContainsFunc(o.status.Resources, func(resource v1alpha1.ResourceStatus) bool {
		return resource.StampedRef != nil && !named[*resource.StampedRef]
	})
}

func isReady(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)
}

func (w *owners) tell(of *owner, event realize.Event) {
	w.events.tell(of.object, w.family.owner, "Realize", event)
}

// realize finds an owner's blueprint and identity and has the blueprint realised. It changes of the owner only the
// reference to the blueprint, which templates may ask for, and that only meanwhile.
func (w *owners) realize(ctx context.Context, of *owner, now metav1.Time) outcome {
	by, problem := w.choose(ctx, of)
	if problem != nil {
		return w.withoutBlueprint(ctx, of, problem, now)
	}
	before := *of.blueprint
	*of.blueprint = v1alpha1.ObjectReference{Kind: w.family.blueprint, Name: by.object.GetName()}
	defer func() { *of.blueprint = before }()
	out := outcome{status: *of.status.DeepCopy(), blueprint: *of.blueprint}
	publish := func(conditions ...metav1.Condition) outcome {
		out.status.Conditions = realize.Conditions(conditions, of.status.Conditions, now)
		return out
	}
	if condition := w.family.blueprintCondition(by); condition.Status != metav1.ConditionTrue {
		return publish(condition)
	}
	ready := metav1.Condition{Type: w.family.ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	account := accountOf(of, by)
	w.waiting.uses(of.key(), account)
	who, err := w.identity(ctx, account)
	if err != nil {
		out.retry, out.forbidden = retryable(err), apierrors.IsForbidden(err)
		return publish(ready, metav1.Condition{
			Type: v1alpha1.ConditionResourcesSubmitted, Status: metav1.ConditionFalse, Reason: reasonOf(err), Message: err.Error(),
		})
	}
	view := &cluster{templates: w.client, renderer: w.renderer, stamped: w.stamped, identity: who, owner: of.object, kind: w.family.ownerWord, before: of.status.Resources}
	result := realize.Realize(ctx, view, of.realized(w.hideSecrets), by.realized(), now)
	for _, event := range view.applied {
		w.tell(of, event)
	}
	orphans := (&sweeping{owners: w, of: of, current: result.Resources, lifecycles: result.Lifecycles, identity: who, before: before, now: now}).sweep(ctx)
	for _, event := range orphans.events {
		w.tell(of, event)
	}
	out.status.Resources = append(result.Resources, orphans.kept...)
	out.events = result.Events
	out.retry = errors.Join(result.Retry, orphans.retry, retryable(view.left))
	out.wrote = len(view.applied) > 0
	out.forbidden = result.Forbidden || orphans.forbidden || apierrors.IsForbidden(view.left)
	out.attention = max(view.attention, orphans.attention)
	return publish(ready, result.Submitted, result.Healthy)
}

// withoutBlueprint publishes why an owner has no blueprint. Where that is certain, what an earlier one stamped goes.
func (w *owners) withoutBlueprint(ctx context.Context, of *owner, problem *unchosen, now metav1.Time) outcome {
	out := outcome{status: *of.status.DeepCopy(), blueprint: *of.blueprint, retry: problem.retry}
	var conditions []metav1.Condition
	if problem.condition.Type != "" {
		conditions = append(conditions, problem.condition)
	}
	out.status.Conditions = realize.Conditions(conditions, of.status.Conditions, now)
	if !problem.certain {
		return out
	}
	orphans := (&sweeping{owners: w, of: of, identity: w.lastIdentity(ctx, of), before: *of.blueprint, now: now}).sweep(ctx)
	for _, event := range orphans.events {
		w.tell(of, event)
	}
	out.status.Resources = orphans.kept
	if len(orphans.kept) == 0 {
		out.blueprint = v1alpha1.ObjectReference{}
	}
	out.retry, out.forbidden = errors.Join(out.retry, orphans.retry), orphans.forbidden
	out.attention = orphans.attention
	return out
}

// lastIdentity is the identity that the owner itself names; nil where it names none or has stamped nothing.
func (w *owners) lastIdentity(ctx context.Context, of *owner) *identity.Identity {
	if of.account == "" || len(of.status.Resources) == 0 {
		return nil
	}
	account := types.NamespacedName{Namespace: of.object.GetNamespace(), Name: of.account}
	w.waiting.uses(of.key(), account)
	who, err := w.identity(ctx, account)
	if err != nil {
		return nil // the identity that stamped each object is still to be asked
	}
	return who
}
