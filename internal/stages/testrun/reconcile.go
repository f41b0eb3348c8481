package testrun

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

// again is how long to wait before a refusal is tried again: nothing tells of roles that change.
const again = 10 * time.Second

// podless is how long a Job may have no pod before it is asked why, and how soon to ask again: nothing tells of that.
const podless = 3 * time.Second

var (
	jobs            = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
)

// reconciler keeps the status of TestRuns true.
type reconciler struct {
	client     client.Client
	made       client.Reader // the Jobs and pods of runs
	live       client.Reader // asks the API server
	image      string
	server     *server
	identities *identity.Pool
	log        *slog.Logger
}

// Reconcile makes a run's Job, unless an equal run was green, and writes the status if it differs. Nothing is done with
// a run of which it is known how it went.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	run := &v1alpha1.TestRun{}
	if err := r.client.Get(ctx, request.NamespacedName, run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !run.DeletionTimestamp.IsZero() || finished(run) {
		return ctrl.Result{}, nil
	}
	before := run.DeepCopy()
	now, err := r.advance(ctx, run)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.publish(ctx, before, run, now); err != nil {
		return ctrl.Result{}, err
	}
	if now.status == metav1.ConditionUnknown && (now.reason == v1alpha1.ReasonForbidden || now.reason == v1alpha1.ReasonNotOurs) {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	return ctrl.Result{RequeueAfter: now.after}, nil
}

func finished(run *v1alpha1.TestRun) bool {
	condition := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionSucceeded)
	return condition != nil && condition.Status != metav1.ConditionUnknown
}

// advance says how far a run is, and makes its Job when it has none.
func (r *reconciler) advance(ctx context.Context, run *v1alpha1.TestRun) (progress, error) {
	job := &batchv1.Job{}
	err := r.made.Get(ctx, client.ObjectKeyFromObject(run), job)
	switch {
	case err == nil && metav1.IsControlledBy(job, run):
		run.Status.Job = job.Name
		run.Status.StartTime = &job.CreationTimestamp
		return r.progress(ctx, run, job)
	case err != nil && !apierrors.IsNotFound(err):
		return progress{}, fmt.Errorf("looking for the job of test run %s: %w", run.Name, err)
	}
	if run.Status.Job != "" {
		// The cache may lag behind, so it is asked for once more, and made again if it is really gone.
		r.log.Info("the job of a test run is not there", "testRun", client.ObjectKeyFromObject(run).String(), "job", run.Status.Job)
	} else if green, err := r.green(ctx, run); err != nil {
		return progress{}, err
	} else if green != nil {
		run.Status.CachedFrom = green.Name
		return progress{status: metav1.ConditionTrue, reason: v1alpha1.ReasonCached, message: fmt.Sprintf("The same tests of the same source were green in %s.", green.Name)}, nil
	}
	return r.makeJob(ctx, run)
}

// green is an earlier run of equal tests on an equal source that was green; nil when there is none.
func (r *reconciler) green(ctx context.Context, run *v1alpha1.TestRun) (*v1alpha1.TestRun, error) {
	key := definitionKey(run)
	if key == "" {
		return nil, nil
	}
	equal := &v1alpha1.TestRunList{}
	if err := r.client.List(ctx, equal, client.InNamespace(run.Namespace), client.MatchingFields{definedField: key}); err != nil {
		return nil, fmt.Errorf("looking for equal test runs: %w", err)
	}
	for i := range equal.Items {
		other := &equal.Items[i]
		if other.UID != run.UID && meta.IsStatusConditionTrue(other.Status.Conditions, v1alpha1.ConditionSucceeded) {
			return other, nil
		}
	}
	return nil, nil
}

// makeJob makes the Job, and the service account that its pod has, as the account that the run names.
func (r *reconciler) makeJob(ctx context.Context, run *v1alpha1.TestRun) (progress, error) {
	who, err := r.identity(ctx, run)
	if err != nil {
		return refusal(err)
	}
	if err := ensureAccount(ctx, who, run.Namespace); err != nil {
		return refusal(err)
	}
	with := means{image: r.image, cache: run.Spec.Definition.Cache}
	if with.cache {
		if with.cache, err = r.mayCache(ctx, run); err != nil {
			return progress{}, err
		}
	}
	if with.inPlace, err = r.server.mountsImages(ctx); err != nil {
		return progress{}, err
	}
	job := newJob(run, with)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	if err != nil {
		return progress{}, fmt.Errorf("writing the job of test run %s: %w", run.Name, err)
	}
	delete(content, "status")
	made, err := who.Resource(jobs).Namespace(run.Namespace).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if made, err = who.Resource(jobs).Namespace(run.Namespace).Get(ctx, run.Name, metav1.GetOptions{}); err == nil && !metav1.IsControlledBy(made, run) {
			return unknown(v1alpha1.ReasonNotOurs, fmt.Sprintf("There is a job %s already, which belongs to something else. Delete it.", run.Name)), nil
		}
	}
	if err != nil {
		return refusal(fmt.Errorf("making job %s: %w", run.Name, err))
	}
	started := made.GetCreationTimestamp()
	run.Status.Job, run.Status.StartTime = made.GetName(), &started
	now := unknown(v1alpha1.ReasonPending, beingMade)
	now.after = podless
	now.message += because(withoutCache(run, job))
	return now, nil
}

// progress reads how far a run with a Job is.
func (r *reconciler) progress(ctx context.Context, run *v1alpha1.TestRun, job *batchv1.Job) (progress, error) {
	pod, err := r.podOf(ctx, run)
	if err != nil {
		return progress{}, err
	}
	refused := ""
	if pod == nil && time.Since(job.CreationTimestamp.Time) >= podless {
		if refused, err = r.refused(ctx, job); err != nil {
			return progress{}, err
		}
	}
	now := progressOf(job, pod, refused)
	if pod == nil && now.status == metav1.ConditionUnknown {
		now.after = podless
	}
	if now.status != metav1.ConditionFalse {
		now.message = strings.TrimSpace(now.message + because(withoutCache(run, job)))
	}
	return now, nil
}

// identity is a client that acts as the account that the run names.
func (r *reconciler) identity(ctx context.Context, run *v1alpha1.TestRun) (dynamic.Interface, error) {
	name := types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.ServiceAccountName}
	if name.Name == "" {
		name.Name = "default"
	}
	account := &corev1.ServiceAccount{}
	if err := r.live.Get(ctx, name, account); err != nil {
		return nil, fmt.Errorf("getting service account %s: %w", name, err)
	}
	who, err := r.identities.Of(name, account.UID)
	if err != nil {
		return nil, err
	}
	return who.Client, who.Ready(ctx)
}

// ensureAccount makes the service account of test pods, which has no rights.
func ensureAccount(ctx context.Context, who dynamic.Interface, namespace string) error {
	accounts := who.Resource(serviceAccounts).Namespace(namespace)
	if _, err := accounts.Get(ctx, testAccount, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	account := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": testAccount},
		"automountServiceAccountToken": false,
	}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making service account %s: %w", testAccount, err)
	}
	return nil
}

// refusal makes of what the API server refuses a state that is tried again, since roles may change; other errors stay
// errors.
func refusal(err error) (progress, error) {
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsUnauthorized(err):
		return unknown(v1alpha1.ReasonForbidden, err.Error()+". Bind the cluster role slipway-workload to the service account, or name another one."), nil
	case apierrors.IsInvalid(err):
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailed, message: err.Error()}, nil
	}
	return progress{}, err
}

// publish writes the status, unless it stands there already.
func (r *reconciler) publish(ctx context.Context, before, run *v1alpha1.TestRun, now progress) error {
	status := &run.Status
	status.ObservedGeneration = run.Generation
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionSucceeded, Status: now.status, Reason: now.reason, Message: now.message, ObservedGeneration: run.Generation,
	})
	if now.status != metav1.ConditionUnknown && status.CompletionTime == nil {
		ended := metav1.Now()
		status.CompletionTime = &ended
	}
	if now.status == metav1.ConditionTrue {
		status.URL, status.Revision = run.Spec.Source.URL, run.Spec.Source.Revision
	}
	if equality.Semantic.DeepEqual(before.Status, run.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, run, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of test run %s: %w", client.ObjectKeyFromObject(run), err))
	}
	r.log.Info("test run looked at", "testRun", client.ObjectKeyFromObject(run).String(), "succeeded", string(now.status), "reason", now.reason)
	return nil
}
