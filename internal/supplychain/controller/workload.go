package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
)

// workloads reconciles workloads.
type workloads struct {
	*accounts
	renderer *template.Renderer
	stamped  *stampedObjects
	recorder events.EventRecorder
	metrics  *metrics
	log      *slog.Logger
}

// outcome is what a reconcile came to.
type outcome struct {
	status    v1alpha1.WorkloadStatus
	events    []realize.Event
	retry     error
	forbidden bool
}

// Reconcile realises one workload and publishes how far it is.
func (w *workloads) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var workload v1alpha1.Workload
	if err := w.client.Get(ctx, request.NamespacedName, &workload); err != nil {
		if apierrors.IsNotFound(err) {
			w.waiting.forget(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if workload.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // what it owns goes with it
	}
	workload.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindWorkload)) // templates may ask for it
	begin := metav1.Now()
	out := w.realize(ctx, &workload, begin.Rfc3339Copy())
	w.metrics.realized(v1alpha1.KindWorkload, begin.Time)
	out.status.ObservedGeneration = workload.Generation
	if !equality.Semantic.DeepEqual(out.status, workload.Status) {
		workload.Status = out.status
		if err := w.client.Status().Update(ctx, &workload); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: retryFirst}, nil // our view was old; its successor is on the way
			}
			return ctrl.Result{}, fmt.Errorf("failed to update status for workload: %w", err)
		}
		for _, event := range out.events {
			w.tell(&workload, event)
		}
	}
	switch {
	case out.retry != nil:
		return ctrl.Result{}, out.retry
	case out.forbidden:
		return ctrl.Result{RequeueAfter: w.waiting.refused(request.NamespacedName)}, nil
	}
	w.waiting.allowed(request.NamespacedName)
	return ctrl.Result{}, nil
}

func (w *workloads) tell(workload *v1alpha1.Workload, event realize.Event) {
	w.recorder.Eventf(workload, nil, corev1.EventTypeNormal, event.Reason, "Realize", "%s", event.Message)
}

// realize finds the workload's chain and identity and has the chain realised. It changes of workload only the
// reference to the chain, which templates may ask for.
func (w *workloads) realize(ctx context.Context, workload *v1alpha1.Workload, now metav1.Time) outcome {
	before := workload.Status
	chain, problem := w.choose(ctx, workload)
	if problem != nil {
		return w.withoutChain(ctx, workload, problem, now)
	}
	workload.Status = *before.DeepCopy()
	workload.Status.SupplyChainRef = v1alpha1.ObjectReference{Kind: v1alpha1.KindClusterSupplyChain, Name: chain.Name}
	out := outcome{status: *workload.Status.DeepCopy()}
	publish := func(conditions ...metav1.Condition) outcome {
		out.status.Conditions = realize.Conditions(conditions, before.Conditions, now)
		workload.Status = before
		return out
	}
	if condition := chainCondition(chain); condition.Status != metav1.ConditionTrue {
		return publish(condition)
	}
	chainReady := metav1.Condition{Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	account := accountOf(workload, chain)
	w.waiting.uses(client.ObjectKeyFromObject(workload), account)
	who, err := w.identity(ctx, account)
	if err != nil {
		out.retry, out.forbidden = retryable(err), apierrors.IsForbidden(err)
		return publish(chainReady, metav1.Condition{
			Type: v1alpha1.ConditionResourcesSubmitted, Status: metav1.ConditionFalse, Reason: reasonOf(err), Message: err.Error(),
		})
	}
	view := &cluster{templates: w.client, renderer: w.renderer, stamped: w.stamped, identity: who, owner: workload, kind: "workload"}
	result := realize.Realize(ctx, view, realize.OfWorkload(workload), realize.OfChain(chain), now)
	for _, event := range view.applied {
		w.tell(workload, event)
	}
	orphans := w.sweep(ctx, workload, result.Resources, result.Lifecycles, who, now)
	for _, event := range orphans.events {
		w.tell(workload, event)
	}
	out.status.Resources = append(result.Resources, orphans.kept...)
	out.events = result.Events
	out.retry, out.forbidden = errors.Join(result.Retry, orphans.retry), result.Forbidden || orphans.forbidden
	return publish(chainReady, result.Submitted, result.Healthy)
}

// withoutChain publishes why a workload has no chain. Where that is certain, what an earlier chain stamped goes.
func (w *workloads) withoutChain(ctx context.Context, workload *v1alpha1.Workload, problem *unchosen, now metav1.Time) outcome {
	out := outcome{status: *workload.Status.DeepCopy(), retry: problem.retry}
	var conditions []metav1.Condition
	if problem.condition.Type != "" {
		conditions = append(conditions, problem.condition)
	}
	out.status.Conditions = realize.Conditions(conditions, workload.Status.Conditions, now)
	if !problem.certain {
		return out
	}
	orphans := w.sweep(ctx, workload, nil, nil, w.lastIdentity(ctx, workload), now)
	for _, event := range orphans.events {
		w.tell(workload, event)
	}
	out.status.Resources = orphans.kept
	if len(orphans.kept) == 0 {
		out.status.SupplyChainRef = v1alpha1.ObjectReference{}
	}
	out.retry, out.forbidden = errors.Join(out.retry, orphans.retry), orphans.forbidden
	return out
}

// lastIdentity is the identity that the workload itself names; nil where it names none or has stamped nothing.
func (w *workloads) lastIdentity(ctx context.Context, workload *v1alpha1.Workload) *identity {
	if workload.Spec.ServiceAccountName == "" || len(workload.Status.Resources) == 0 {
		return nil
	}
	account := types.NamespacedName{Namespace: workload.Namespace, Name: workload.Spec.ServiceAccountName}
	w.waiting.uses(client.ObjectKeyFromObject(workload), account)
	who, err := w.identity(ctx, account)
	if err != nil {
		return nil // the identity that stamped each object is still to be asked
	}
	return who
}
