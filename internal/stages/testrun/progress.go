package testrun

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// progress is how far a run is.
type progress struct {
	status  metav1.ConditionStatus
	reason  string
	message string
	after   time.Duration // to look again then; 0 means that something will tell
}

// beingMade is said of a run whose pod is not there yet.
const beingMade = "The pod is being made."

func unknown(reason, message string) progress {
	return progress{status: metav1.ConditionUnknown, reason: reason, message: message}
}

// progressOf reads how far a Job is, from it and from its pod, which is nil before there is one; refused is why there is
// none, if that is known.
func progressOf(job *batchv1.Job, pod *corev1.Pod, refused string) progress {
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			return progress{status: metav1.ConditionTrue, reason: v1alpha1.ReasonSucceeded}
		case batchv1.JobFailed:
			return failed(job, pod, refused, condition)
		}
	}
	if pod == nil {
		return unknown(v1alpha1.ReasonPending, cmp.Or(refused, beingMade))
	}
	if why := stuck(pod); why != "" {
		return unknown(v1alpha1.ReasonPending, why)
	}
	for _, container := range pod.Status.ContainerStatuses {
		ended := container.State.Terminated
		switch {
		case container.Name != testContainer:
		case ended != nil && pod.DeletionTimestamp == nil && ended.ExitCode == 0:
			// The Job says the same, but more than a second later: its controller collects changes for as long.
			return progress{status: metav1.ConditionTrue, reason: v1alpha1.ReasonSucceeded}
		case ended != nil && pod.DeletionTimestamp == nil:
			return failed(job, pod, "", batchv1.JobCondition{})
		case ended != nil || container.State.Running != nil:
			return unknown(v1alpha1.ReasonRunning, "")
		}
	}
	return unknown(v1alpha1.ReasonPending, "The source is being fetched.")
}

// failed says why a Job did.
func failed(job *batchv1.Job, pod *corev1.Pod, refused string, condition batchv1.JobCondition) progress {
	advice := fmt.Sprintf(" `kubectl logs --namespace %s job/%s` shows all that was said.", job.Namespace, job.Name)
	if condition.Reason == batchv1.JobReasonDeadlineExceeded {
		message := fmt.Sprintf("The tests took longer than %ds.", *job.Spec.ActiveDeadlineSeconds)
		if pod != nil {
			refused = stuck(pod)
		}
		message += because(refused)
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonTimedOut, message: message}
	}
	if pod == nil {
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailed, message: cmp.Or(condition.Message, "The job failed.") + because(refused)}
	}
	if why := cmp.Or(pod.Status.Message, pod.Status.Reason); why != "" { // such as an eviction, which kills with 137
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailed, message: "The tests were interrupted, and say nothing about the source: " + why}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, container := range list {
			ended := container.State.Terminated
			if ended == nil || ended.ExitCode == 0 {
				continue
			}
			what := cmp.Or(endedEarly(ended.ExitCode, ended.Message), "The tests are red")
			if ended.Reason == "OOMKilled" {
				what = "The tests took more memory than they may"
			}
			if container.Name == fetchContainer {
				what = "The source could not be fetched"
			}
			message := fmt.Sprintf("%s (exit code %d", what, ended.ExitCode)
			if ended.Reason != "" && ended.Reason != "Error" {
				message += ", " + ended.Reason
			}
			message += ")." + advice
			if said := strings.TrimSpace(ended.Message); said != "" {
				message += "\n" + said
			}
			return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailed, message: message}
		}
	}
	return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailed, message: cmp.Or(condition.Message, "The job failed.")}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " " + why
}

// stuck says what keeps a pod from running, if something does.
func stuck(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return "The pod cannot be scheduled: " + condition.Message
		}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, container := range list {
			waiting := container.State.Waiting
			if waiting == nil || waiting.Reason == "PodInitializing" || waiting.Reason == "ContainerCreating" {
				continue
			}
			return fmt.Sprintf("The container %s waits: %s", container.Name, strings.TrimSuffix(waiting.Reason+": "+waiting.Message, ": "))
		}
	}
	return ""
}

// podOf is the newest pod of a run; nil when there is none.
func (r *reconciler) podOf(ctx context.Context, run *v1alpha1.TestRun) (*corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := r.made.List(ctx, pods, client.InNamespace(run.Namespace), client.MatchingLabels{LabelRun: run.Name}); err != nil {
		return nil, fmt.Errorf("looking for the pod of test run %s: %w", run.Name, err)
	}
	var newest *corev1.Pod
	for i := range pods.Items {
		if pod := &pods.Items[i]; newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	return newest, nil
}

// enqueueRunOf wakes the run to which a Job or a pod belongs.
func enqueueRunOf[object client.Object]() handler.TypedEventHandler[object, reconcile.Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, of object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: of.GetNamespace(), Name: of.GetLabels()[LabelRun]}}}
	})
}
