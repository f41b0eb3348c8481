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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// workloads reconciles workloads: it finds a workload's supply chain, has it realised, deletes what the chain does not
// want any more, and publishes what came of it.
type workloads struct {
	client     client.Client
	identities *identities
	stamped    *stampedObjects
	waiting    *waiting
	recorder   events.EventRecorder
	log        *slog.Logger
}

// outcome is what one reconcile found, besides the status that it changed.
type outcome struct {
	conditions []metav1.Condition
	events     []realize.Event
	retry      error // trying again may help
	forbidden  bool  // the workload's identity was refused something
}

// Reconcile brings one workload up to date.
func (w *workloads) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	stored := &v1alpha1.Workload{}
	err := w.client.Get(ctx, request.NamespacedName, stored)
	if apierrors.IsNotFound(err) || (err == nil && stored.DeletionTimestamp != nil) {
		w.waiting.forget(request.NamespacedName) // its objects go with it: it owns them
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading workload [%s]: %w", request, err)
	}
	workload := stored.DeepCopy()
	workload.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindWorkload}

	now := metav1.Now()
	came := w.work(ctx, workload, now)
	workload.Status.Conditions = realize.Conditions(came.conditions, stored.Status.Conditions, now)
	workload.Status.ObservedGeneration = workload.Generation
	if !equality.Semantic.DeepEqual(stored.Status, workload.Status) {
		if err := w.client.Status().Update(ctx, workload); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return reconcile.Result{RequeueAfter: retryFirst}, nil // the cache is behind; the change wakes us too
			}
			return reconcile.Result{}, fmt.Errorf("failed to update status for workload: %w", err)
		}
	}
	for _, event := range came.events {
		w.recorder.Eventf(workload, nil, corev1.EventTypeNormal, event.Reason, "Realize", "%s", event.Message)
	}
	if came.retry != nil {
		return reconcile.Result{}, came.retry
	}
	if came.forbidden {
		return reconcile.Result{RequeueAfter: w.waiting.refused(request.NamespacedName)}, nil
	}
	w.waiting.allowed(request.NamespacedName)
	return reconcile.Result{}, nil
}

// work finds the chain and has it realised; workload's status becomes the new one, but for its conditions.
func (w *workloads) work(ctx context.Context, workload *v1alpha1.Workload, now metav1.Time) outcome {
	chain, condition, err := w.chainOf(ctx, workload)
	if err != nil {
		return outcome{retry: err}
	}
	if chain == nil {
		came := outcome{conditions: []metav1.Condition{condition}}
		if condition.Reason != v1alpha1.ReasonMultipleSupplyChainMatches {
			// No chain wants what an earlier one stamped. With several, one of them may.
			workload.Status.SupplyChainRef = v1alpha1.ObjectReference{}
			w.abandon(ctx, workload, now, &came)
		}
		return came
	}
	workload.Status.SupplyChainRef = v1alpha1.ObjectReference{Kind: v1alpha1.KindClusterSupplyChain, Name: chain.Name}
	if ready := chainReady(chain); ready.Status != metav1.ConditionTrue {
		return outcome{conditions: []metav1.Condition{ready}}
	}
	came := outcome{conditions: []metav1.Condition{{Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}}}
	identity, failed, err := w.identityOf(ctx, workload, accountOf(workload, chain))
	if failed != nil {
		came.conditions = append(came.conditions, *failed)
		came.retry = err
		return came
	}
	access := &cluster{templates: w.client, stamped: w.stamped, identity: identity, workload: workload}
	result := realize.Realize(ctx, access, workload, chain, now)
	before := workload.Status.Resources
	workload.Status.Resources = result.Resources
	came.conditions = append(came.conditions, result.Submitted, result.Healthy)
	came.events = append(access.applied, result.Events...)
	came.retry, came.forbidden = result.Retry, result.Forbidden
	w.deleteOrphans(ctx, workload, before, now, func(context.Context, *orphan) (*identityClient, error) { return clientOf(identity), nil }, &came)
	return came
}

// chainOf returns the supply chain that the workload's labels choose; or nil, and the condition that says why none.
func (w *workloads) chainOf(ctx context.Context, workload *v1alpha1.Workload) (*v1alpha1.ClusterSupplyChain, metav1.Condition, error) {
	no := metav1.Condition{Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionFalse}
	if len(workload.Labels) == 0 {
		no.Reason, no.Message = v1alpha1.ReasonWorkloadLabelsMissing, "workload has no labels to match to supply chain"
		return nil, no, nil
	}
	list := &v1alpha1.ClusterSupplyChainList{}
	if err := w.client.List(ctx, list); err != nil {
		return nil, no, fmt.Errorf("listing supply chains: %w", err)
	}
	candidates := make([]selector.Selector, len(list.Items))
	for i := range list.Items {
		candidates[i] = selector.OfChain(&list.Items[i])
	}
	best, bad := selector.Best(candidates, workload)
	for _, spoiled := range bad {
		w.log.Warn("leaving out a supply chain whose selector cannot be evaluated", "supplychain", list.Items[spoiled.Index].Name,
			"workload", client.ObjectKeyFromObject(workload).String(), "error", spoiled.Err)
	}
	switch len(best) {
	case 0:
		no.Reason = v1alpha1.ReasonSupplyChainNotFound
		no.Message = fmt.Sprintf("no supply chain found where full selector is satisfied by labels: %v", workload.Labels)
		return nil, no, nil
	case 1:
		return &list.Items[best[0]], metav1.Condition{}, nil
	default:
		no.Reason, no.Message = v1alpha1.ReasonMultipleSupplyChainMatches, "workload may only match a single supply chain's selector"
		return nil, no, nil
	}
}

// chainReady is the workload's condition SupplyChainReady for a chain: True, or what the chain says of itself.
func chainReady(chain *v1alpha1.ClusterSupplyChain) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionFalse}
	ready := realize.Condition(chain.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || chain.Status.ObservedGeneration != chain.Generation {
		condition.Reason, condition.Message = v1alpha1.ReasonUnknown, "supply chain not yet reconciled"
		return condition
	}
	if ready.Status == metav1.ConditionTrue {
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonReady
		return condition
	}
	condition.Reason, condition.Message = ready.Reason, ready.Message
	return condition
}

// accountOf names the service account: the workload's own choice, else the chain's, else "default".
func accountOf(workload *v1alpha1.Workload, chain *v1alpha1.ClusterSupplyChain) types.NamespacedName {
	if name := workload.Spec.ServiceAccountName; name != "" {
		return types.NamespacedName{Namespace: workload.Namespace, Name: name}
	}
	ref := chain.Spec.ServiceAccountRef
	if ref.Name == "" {
		return types.NamespacedName{Namespace: workload.Namespace, Name: "default"}
	}
	if ref.Namespace == "" {
		return types.NamespacedName{Namespace: workload.Namespace, Name: ref.Name}
	}
	return types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
}

// identityOf returns the identity of a service account, with a token that works; or the workload's condition that says
// why not. What appears later wakes the workload, so only what nobody would tell is an error to try again.
func (w *workloads) identityOf(ctx context.Context, workload *v1alpha1.Workload, account types.NamespacedName) (*identity, *metav1.Condition, error) {
	w.waiting.uses(client.ObjectKeyFromObject(workload), account)
	no := &metav1.Condition{Type: v1alpha1.ConditionResourcesSubmitted, Status: metav1.ConditionFalse}
	found := &corev1.ServiceAccount{}
	if err := w.client.Get(ctx, account, found); err != nil {
		no.Reason = v1alpha1.ReasonServiceAccountError
		no.Message = fmt.Sprintf("failed to get service account object from api server [%s]: %v", account, err)
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return nil, no, err
	}
	identity, err := w.identities.of(account, found.UID)
	if err != nil {
		no.Reason, no.Message = v1alpha1.ReasonResourceRealizerBuilder, err.Error()
		return nil, no, err
	}
	if _, err := identity.ready(ctx); err != nil {
		no.Reason, no.Message = v1alpha1.ReasonServiceAccountTokenError, err.Error()
		if apierrors.IsNotFound(err) || errors.Is(err, context.Canceled) {
			err = nil
		}
		return nil, no, err
	}
	return identity, nil, nil
}
