package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// conditionSucceeded is the condition by which a run says how it ended.
const conditionSucceeded = "Succeeded"

// runnables reconciles Runnables: for each it stamps a run whenever what its template renders to has changed, and
// publishes the outputs of the newest run that succeeded.
type runnables struct {
	*accounts
	stamped  *stampedObjects
	selected *selectedKinds
	events   *teller
	metrics  *metrics
	log      *slog.Logger
}

// ran is what a reconcile of a Runnable came to.
type ran struct {
	status v1alpha1.RunnableStatus
	events []realize.Event
	retry  error
	// forbidden : the API server refused the service account something; a change of roles may help.
	forbidden bool
	attention attention
}

// Reconcile runs one Runnable and publishes how its runs went.
func (r *runnables) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var runnable v1alpha1.Runnable
	if err := r.client.Get(ctx, request.NamespacedName, &runnable); err != nil {
		if apierrors.IsNotFound(err) {
			r.waiting.forget(request.NamespacedName)
			r.stamped.keepOnly(request.NamespacedName, nil)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if runnable.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // its runs go with it
	}
	runnable.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindRunnable)) // templates may ask for it
	defer r.events.looking()()
	begin := metav1.Now()
	out := r.run(ctx, &runnable, begin.Rfc3339Copy())
	r.metrics.realized(v1alpha1.KindRunnable, begin.Time)
	out.status.ObservedGeneration = runnable.Generation
	if !sameRunnableStatus(out.status, runnable.Status) {
		runnable.Status = out.status
		if err := r.client.Status().Update(ctx, &runnable, client.FieldValidation(unvalidated)); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: retryFirst}, nil // our view was old; its successor is on the way
			}
			return ctrl.Result{}, fmt.Errorf("failed to update status for runnable: %w", err)
		}
		for _, event := range out.events {
			r.tell(&runnable, event)
		}
	}
	switch {
	case out.retry != nil:
		return ctrl.Result{}, out.retry
	case out.forbidden:
		return out.attention.before(r.waiting.refused(request.NamespacedName), isReady(out.status.Conditions)), nil
	}
	r.waiting.allowed(request.NamespacedName)
	return out.attention.again(isReady(out.status.Conditions)), nil
}

func (r *runnables) tell(runnable *v1alpha1.Runnable, event realize.Event) {
	r.events.tell(runnable, v1alpha1.KindRunnable, "Run", event)
}

// run finds the identity and the template of a Runnable, sees to its newest run and judges it. It does not change the
// Runnable.
func (r *runnables) run(ctx context.Context, runnable *v1alpha1.Runnable, now metav1.Time) ran {
	out := ran{status: *runnable.Status.DeepCopy()}
	publish := func(conditions ...metav1.Condition) ran {
		out.status.Conditions = realize.Conditions(conditions, runnable.Status.Conditions, now)
		return out
	}
	account := types.NamespacedName{Namespace: runnable.Namespace, Name: runnable.Spec.ServiceAccountName}
	if account.Name == "" {
		account.Name = defaultAccount
	}
	r.waiting.uses(client.ObjectKeyFromObject(runnable), account)
	who, err := r.identity(ctx, account)
	if err != nil {
		reason := reasonOf(err)
		if reason == v1alpha1.ReasonResourceRealizerBuilder {
			reason = v1alpha1.ReasonClientBuilderError
		}
		out.retry, out.forbidden = retryable(err), apierrors.IsForbidden(err)
		return publish(metav1.Condition{Type: v1alpha1.ConditionRunTemplateReady, Status: metav1.ConditionFalse, Reason: reason, Message: err.Error()})
	}
	template := &v1alpha1.ClusterRunTemplate{}
	name := runnable.Spec.RunTemplateRef.Name
	if err := r.client.Get(ctx, types.NamespacedName{Name: name}, template); err != nil {
		err = fmt.Errorf("unable to get run template [%s]: %w", name, err)
		out.retry = retryable(err) // a template that is not there wakes the runnable when it appears
		return publish(notRun(v1alpha1.ReasonRunTemplateNotFound, err), runCondition(nil))
	}
	view := &runs{r: r, runnable: runnable, template: template, identity: who}
	newest, problem := view.ensure(ctx)
	for _, event := range view.told {
		r.tell(runnable, event)
	}
	if problem == nil {
		problem = view.publishOutputs(&out, newest)
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionRunTemplateReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	if len(view.unwatched) > 0 {
		out.attention, ready.Message = soon, unwatched(view.unwatched[0])
	}
	if problem != nil {
		out.retry, out.forbidden = problem.retry, apierrors.IsForbidden(problem.err)
		ready = notRun(problem.reason, problem.err)
		if problem.message != "" {
			ready.Message = problem.message
		}
	}
	out.retry, out.forbidden = cmp.Or(out.retry, retryable(view.left)), out.forbidden || apierrors.IsForbidden(view.left)
	return publish(ready, runCondition(newest))
}

// runProblem is why a Runnable is not run, or its outputs cannot be read.
type runProblem struct {
	reason string
	err    error
	// message is what to publish; empty : what err says.
	message string
	// retry is the error for which trying again, without any change, may help; else nil.
	retry error
}

func notRun(reason string, err error) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionRunTemplateReady, Status: metav1.ConditionFalse, Reason: reason, Message: err.Error()}
}

// runCondition is the condition StampedObjectCondition: what the newest run says of itself.
func runCondition(newest *unstructured.Unstructured) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionStampedObjectCondition, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonUnknown}
	if newest == nil {
		return condition
	}
	said := realize.ObjectCondition(newest, conditionSucceeded)
	if said == nil {
		return condition
	}
	condition.Reason, condition.Message = v1alpha1.ReasonSucceededConditionOfRun, said.Message
	if said.Status == metav1.ConditionTrue || said.Status == metav1.ConditionFalse {
		condition.Status = said.Status
	}
	return condition
}
