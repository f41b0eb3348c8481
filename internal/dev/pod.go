package dev

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func isReady(pod *corev1.Pod) bool {
	return podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
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

// describePod says in words what a pod that is not Ready is doing.
func describePod(pod *corev1.Pod) string {
	for _, c := range containersOf(pod) {
		if w := c.State.Waiting; w != nil && w.Reason != "" {
			return fmt.Sprintf("pod %s: %s", pod.Name, w.Reason)
		}
	}
	if c := podCondition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
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

// podProblem says why a pod that is not Ready will not become so; nil when nothing speaks against it.
func podProblem(pod *corev1.Pod) *problem {
	for _, c := range containersOf(pod) {
		if p := containerProblem(pod, c); p != nil {
			return p
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return &problem{stage: "pod", message: fmt.Sprintf("pod %s was ended: %s %s", pod.Name, pod.Status.Reason, pod.Status.Message)}
	}
	if c := podCondition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
		return &problem{stage: "pod", message: fmt.Sprintf("pod %s cannot be scheduled: %s", pod.Name, c.Message), grace: shortGrace}
	}
	return nil
}

func containerProblem(pod *corev1.Pod, c corev1.ContainerStatus) *problem {
	initial := slices.ContainsFunc(pod.Status.InitContainerStatuses, func(other corev1.ContainerStatus) bool { return other.Name == c.Name })
	if ended := c.State.Terminated; ended != nil && (!initial || ended.ExitCode != 0) {
		return &problem{stage: "pod", message: endedMessage(pod, c.Name, ended), crashed: crashed{pod: pod, container: c.Name}}
	}
	if w := c.State.Waiting; w != nil {
		grace, bad := waitingProblems[w.Reason]
		if !bad {
			return nil
		}
		if ended := c.LastTerminationState.Terminated; ended != nil {
			return &problem{stage: "pod", message: endedMessage(pod, c.Name, ended), crashed: crashed{pod: pod, container: c.Name, previous: c.RestartCount > 0}}
		}
		return &problem{stage: "pod", message: fmt.Sprintf("pod %s: container %s does not start: %s: %s", pod.Name, c.Name, w.Reason, w.Message), grace: grace}
	}
	if ended := c.LastTerminationState.Terminated; ended != nil && c.State.Running != nil && (!initial || ended.ExitCode != 0) {
		// It was started again, and may do better this time.
		return &problem{stage: "pod", message: endedMessage(pod, c.Name, ended), grace: shortGrace, crashed: crashed{pod: pod, container: c.Name, previous: true}}
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
