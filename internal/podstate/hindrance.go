package podstate

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hindering are the reasons of events that tell why the containers of a pod are not even made. Nothing in its status does.
var hindering = map[string]bool{"FailedMount": true, "FailedAttachVolume": true, "FailedCreatePodSandBox": true}

// MayBeHindered says whether events may tell more than the status about what keeps a pod from running: it is on a node, and
// nothing of it has started.
func MayBeHindered(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending && pod.Spec.NodeName != "" && TroubleOf(pod) == nil
}

// Hindrance is what the newest of the events says that keeps a pod's containers from being made, such as a secret that is
// not there, in Kubernetes' words; "" where none says so. Events of other objects do not count.
func Hindrance(pod *corev1.Pod, events []corev1.Event) string {
	var newest *corev1.Event
	for i := range events {
		event := &events[i]
		if event.InvolvedObject.UID != pod.UID || !hindering[event.Reason] {
			continue
		}
		if newest == nil || newest.LastTimestamp.Before(&event.LastTimestamp) {
			newest = event
		}
	}
	if newest == nil {
		return ""
	}
	return strings.ReplaceAll(newest.Message, " : ", ": ")
}
