// Package podstate reads from a pod's status what it is doing and what keeps it from running, in words for developers. It
// fetches nothing, and decides nothing about what to do.
package podstate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// shortGrace is for troubles that may be of a moment: an object that is made a little later, a registry that restarts.
const shortGrace = 3 * time.Second

// Trouble is why a pod that is not Ready will not become so.
type Trouble struct {
	Message   string
	Grace     time.Duration // how long it must last before it counts; 0 means that it counts at once
	Container string        // the one whose log says more; "" when none does
	Previous  bool          // whether that container has started again since
}

// Ready says whether a pod is.
func Ready(pod *corev1.Pod) bool {
	return condition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

// AwaitsProbe says whether a pod runs and lacks nothing but that a readiness probe of it succeeds.
func AwaitsProbe(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		return false
	}
	awaited := false
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Running == nil || status.Started == nil || !*status.Started {
			return false
		}
		if status.Ready {
			continue
		}
		if !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == status.Name && c.ReadinessProbe != nil }) {
			return false
		}
		awaited = true
	}
	return awaited
}

func condition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == conditionType {
			return c
		}
	}
	return corev1.PodCondition{}
}

func containersOf(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// Describe says in words what a pod that is not Ready is doing.
func Describe(pod *corev1.Pod) string {
	for _, c := range containersOf(pod) {
		if w := c.State.Waiting; w != nil && w.Reason != "" {
			return fmt.Sprintf("pod %s: %s", pod.Name, w.Reason)
		}
	}
	if c := condition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return fmt.Sprintf("pod %s is not scheduled: %s", pod.Name, c.Message)
	}
	if pod.Status.Phase == corev1.PodRunning {
		return fmt.Sprintf("pod %s runs and is not Ready: does the program listen on its port?", pod.Name)
	}
	return fmt.Sprintf("pod %s is %s", pod.Name, pod.Status.Phase)
}

// waitingProblems are the reasons for which a container does not start, and how long each may last.
var waitingProblems = map[string]time.Duration{
	"CrashLoopBackOff": 0, "ImagePullBackOff": 0, "InvalidImageName": 0, "ErrImageNeverPull": 0, "RunContainerError": 0, "StartError": 0,
	"ErrImagePull": shortGrace, "CreateContainerConfigError": shortGrace, "CreateContainerError": shortGrace,
}

// TroubleOf says why a pod that is not Ready will not become so; nil when nothing speaks against it.
func TroubleOf(pod *corev1.Pod) *Trouble {
	for _, c := range containersOf(pod) {
		if p := containerTrouble(pod, c); p != nil {
			return p
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return &Trouble{Message: fmt.Sprintf("pod %s was ended: %s %s", pod.Name, pod.Status.Reason, pod.Status.Message)}
	}
	if c := condition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
		return &Trouble{Message: fmt.Sprintf("pod %s cannot be scheduled: %s", pod.Name, c.Message), Grace: shortGrace}
	}
	return nil
}

func containerTrouble(pod *corev1.Pod, c corev1.ContainerStatus) *Trouble {
	initial := slices.ContainsFunc(pod.Status.InitContainerStatuses, func(other corev1.ContainerStatus) bool { return other.Name == c.Name })
	if ended := c.State.Terminated; ended != nil && (!initial || ended.ExitCode != 0) {
		return &Trouble{Message: endedMessage(pod, c.Name, ended), Container: c.Name}
	}
	if w := c.State.Waiting; w != nil {
		grace, bad := waitingProblems[w.Reason]
		if !bad {
			return nil
		}
		if ended := c.LastTerminationState.Terminated; ended != nil {
			return &Trouble{Message: endedMessage(pod, c.Name, ended), Container: c.Name, Previous: c.RestartCount > 0}
		}
		return &Trouble{Message: fmt.Sprintf("pod %s: container %s does not start: %s: %s", pod.Name, c.Name, w.Reason, w.Message), Grace: grace}
	}
	if ended := c.LastTerminationState.Terminated; ended != nil && c.State.Running != nil && (!initial || ended.ExitCode != 0) {
		// It was started again, and may do better this time.
		return &Trouble{Message: endedMessage(pod, c.Name, ended), Grace: shortGrace, Container: c.Name, Previous: true}
	}
	return nil
}

func endedMessage(pod *corev1.Pod, container string, ended *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("pod %s: the program in container %s ended with exit code %d", pod.Name, container, ended.ExitCode)
	switch {
	case ended.Reason == "OOMKilled":
		text += ", since it used more memory than it may"
	case ended.Reason != "" && ended.Reason != "Error" && ended.Reason != "Completed":
		text += " (" + ended.Reason + ")"
	case ended.ExitCode == 0:
		text += "; it must keep running"
	}
	if ended.Message != "" {
		text += ": " + ended.Message
	}
	return text
}
