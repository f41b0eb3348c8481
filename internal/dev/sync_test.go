package dev

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/internal/dev/fastlane"
	"slipway.dev/slipway/internal/ui"
)

// TestTemplatesWithoutSupervisor : that a chain's templates do not know the fast lane is said once, and later saves do not
// try it, until what a run arrives at has a supervisor.
func TestTemplatesWithoutSupervisor(t *testing.T) {
	supervised := map[string]string{"slipway.dev/supervised": "workload"}
	rolled := func(annotations map[string]string) state {
		deployment := &appsv1.Deployment{}
		deployment.Spec.Template.Annotations = annotations
		return state{rolled: deployment, pod: &corev1.Pod{}}
	}
	labelled := func(annotations map[string]string) state {
		pod := &corev1.Pod{}
		pod.Annotations = annotations
		return state{pod: pod}
	}
	said := &ui.Recorder{}
	a := &app{session: &session{}, progress: said}
	a.checkSupervised(rolled(nil))
	if a.unserved {
		t.Fatal("there is no lane, and it is said to be of no use")
	}
	a.lane = &fastlane.Lane{}
	for i, step := range []struct {
		arrived state
		want    bool
		said    int
	}{
		{state{}, false, 0}, // the chain makes no pods
		{rolled(supervised), false, 0},
		{rolled(nil), true, 1},
		{rolled(nil), true, 1},
		{state{}, true, 1},
		{labelled(supervised), false, 1},
		{labelled(nil), true, 2},
	} {
		a.checkSupervised(step.arrived)
		warnings := said.Summary()
		if a.unserved != step.want || len(warnings) != step.said {
			t.Errorf("arrival %d: unserved %t, said %q", i+1, a.unserved, warnings)
		}
	}
	if !slices.ContainsFunc(said.Summary(), func(line string) bool { return strings.Contains(line, "do not know the param sync") }) {
		t.Errorf("said %q", said.Summary())
	}
	// It would have nothing to show that with here.
	if _, over, err := a.fast(t.Context(), 2, trigger{files: []string{"main.go"}}); over || err != nil {
		t.Errorf("a save: over %t, %v", over, err)
	}
}
