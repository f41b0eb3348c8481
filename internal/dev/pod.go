package dev

import (
	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/internal/podstate"
)

// podProblem says why a pod that is not Ready will not become so; nil when nothing speaks against it.
func podProblem(pod *corev1.Pod) *problem {
	trouble := podstate.TroubleOf(pod)
	if trouble == nil {
		return nil
	}
	found := &problem{stage: "pod", message: trouble.Message, grace: trouble.Grace}
	if trouble.Container != "" {
		found.crashed = crashed{pod: pod, container: trouble.Container, previous: trouble.Previous}
	}
	return found
}
