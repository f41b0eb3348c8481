package podstate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAwaitsProbe(t *testing.T) {
	yes, no := true, false
	probed := corev1.Container{Name: "app", ReadinessProbe: &corev1.Probe{}}
	running := corev1.ContainerStatus{Name: "app", Started: &yes, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ready, starting, waiting := running, running, corev1.ContainerStatus{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}
	ready.Ready, starting.Started = true, &no
	now := metav1.Now()
	for name, test := range map[string]struct {
		container corev1.Container
		status    corev1.ContainerStatus
		deleted   *metav1.Time
		want      bool
	}{
		"it runs and is not ready":            {probed, running, nil, true},
		"it is ready":                         {probed, ready, nil, false},
		"its startup probe has not succeeded": {probed, starting, nil, false},
		"it waits":                            {probed, waiting, nil, false},
		"it has no readiness probe":           {corev1.Container{Name: "app"}, running, nil, false},
		"the pod is being deleted":            {probed, running, &now, false},
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: test.deleted}, Spec: corev1.PodSpec{Containers: []corev1.Container{test.container}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{test.status}},
		}
		if got := AwaitsProbe(pod); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
