package podstate_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/internal/podstate"
)

func TestHindrance(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "ours"}, Spec: corev1.PodSpec{NodeName: "node"}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
	event := func(of types.UID, second int64, reason, message string) corev1.Event {
		return corev1.Event{InvolvedObject: corev1.ObjectReference{UID: of}, LastTimestamp: metav1.NewTime(time.Unix(second, 0)), Reason: reason, Message: message}
	}
	if got := podstate.Hindrance(pod, nil); got != "" {
		t.Errorf("without events: %q", got)
	}
	events := []corev1.Event{
		event("ours", 3, "FailedMount", `MountVolume.SetUp failed for volume "binding-db" : secret "db" not found`),
		event("ours", 2, "FailedMount", "of before"), event("ours", 4, "Scheduled", "something else"), event("other", 5, "FailedMount", "another pod's"),
	}
	if got, want := podstate.Hindrance(pod, events), `MountVolume.SetUp failed for volume "binding-db": secret "db" not found`; got != want {
		t.Errorf("hindrance = %q, want %q", got, want)
	}
	if !podstate.MayBeHindered(pod) {
		t.Error("a pod of which nothing has started is not to be asked about")
	}
	pod.Status.Phase = corev1.PodRunning
	if podstate.MayBeHindered(pod) {
		t.Error("a pod that runs is to be asked about")
	}
}
