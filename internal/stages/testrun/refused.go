package testrun

import (
	"context"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// enforceLabel is on a namespace whose pods the API server holds to a Pod Security level.
const enforceLabel = "pod-security.kubernetes.io/enforce"

// mayCache says whether pods of a run's namespace may have a folder of the node, as far as the namespace says so.
func (r *reconciler) mayCache(ctx context.Context, run *v1alpha1.TestRun) (bool, error) {
	namespace := &corev1.Namespace{}
	if err := r.live.Get(ctx, types.NamespacedName{Name: run.Namespace}, namespace); err != nil {
		return false, fmt.Errorf("reading the Pod Security level of namespace %s: %w", run.Namespace, err)
	}
	level := namespace.Labels[enforceLabel]
	return level != "baseline" && level != "restricted", nil
}

// cached says whether a Job's pods have a folder of the node for caches.
func cached(job *batchv1.Job) bool {
	for _, volume := range job.Spec.Template.Spec.Volumes {
		if volume.Name == cacheVolume {
			return true
		}
	}
	return false
}

// withoutCache is said of a run that was to have a cache and has none.
func withoutCache(run *v1alpha1.TestRun, job *batchv1.Job) string {
	if !run.Spec.Definition.Cache || cached(job) {
		return ""
	}
	return fmt.Sprintf("It has no cache: the Pod Security level of namespace %s allows no folder of the node.", run.Namespace)
}

// refused says in the API server's words why a Job has no pod; "" when nothing is known of it. Nobody but the Job's
// controller hears those, which puts them into an event.
func (r *reconciler) refused(ctx context.Context, job *batchv1.Job) (string, error) {
	events := &corev1.EventList{}
	err := r.live.List(ctx, events, client.InNamespace(job.Namespace), client.MatchingFieldsSelector{
		Selector: fields.Set{"involvedObject.uid": string(job.UID), "reason": "FailedCreate"}.AsSelector(),
	})
	if err != nil {
		return "", fmt.Errorf("looking for what keeps job %s from having a pod: %w", job.Name, err)
	}
	var newest *corev1.Event
	for i := range events.Items {
		if event := &events.Items[i]; newest == nil || newest.LastTimestamp.Before(&event.LastTimestamp) {
			newest = event
		}
	}
	if newest == nil {
		return "", nil
	}
	message := "The pod cannot be made: " + strings.TrimPrefix(newest.Message, "Error creating: ")
	if cached(job) && strings.Contains(newest.Message, "hostPath") {
		message += "\nThe tests' cache is a folder of the node. Set spec.cache of the TestPlan to false, or allow the namespace hostPath volumes."
	}
	return message, nil
}
