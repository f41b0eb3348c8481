package bootstrap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/bootstrap/cluster"
)

func TestWorkloadStatus(t *testing.T) {
	condition := func(status, reason, message string) []any {
		return []any{map[string]any{"type": "Ready", "status": status, "reason": reason, "message": message}}
	}
	object := func(generation, observed int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"namespace": "n", "name": "w", "generation": generation},
			"status": map[string]any{
				"observedGeneration": observed,
				"supplyChainRef":     map[string]any{"name": "chain"},
				"conditions":         condition("True", "Ready", ""),
				"resources": []any{
					map[string]any{"name": "image", "stampedRef": map[string]any{"kind": "Image", "name": "w"}, "conditions": condition("True", "Ready", "")},
					map[string]any{"name": "deployment", "conditions": condition("False", "TemplateStampFailure", "no image")},
				},
			},
		}}
	}
	want := Workload{
		Namespace: "n", Name: "w", Ready: true, Reason: "Ready", SupplyChain: "chain",
		Stages: []Stage{
			{Name: "image", Kind: "Image", Object: "w", Ready: true, Reason: "Ready"},
			{Name: "deployment", Reason: "TemplateStampFailure", Message: "no image"},
		},
	}
	if diff := cmp.Diff(want, workloadStatus(object(3, 3))); diff != "" {
		t.Errorf("workloadStatus (-want +got):\n%s", diff)
	}
	if stale := workloadStatus(object(4, 3)); stale.Ready {
		t.Error("a workload whose last change nobody looked at is ready")
	}
}

func TestJudge(t *testing.T) {
	good := func() *Status {
		return &Status{
			Cluster: ClusterStatus{State: cluster.Running, Ready: true}, Registry: RegistryStatus{Ready: true},
			Components: []Component{{Name: "controller", Ready: true}}, Workloads: []Workload{{Name: "w", Ready: true}}, Notes: []string{"a note"},
		}
	}
	for name, spoil := range map[string]func(*Status){
		"":                    func(*Status) {},
		"cluster":             func(s *Status) { s.Cluster.Ready = false },
		"registry":            func(s *Status) { s.Registry.Ready = false },
		"component":           func(s *Status) { s.Components[0].Ready = false },
		"workload":            func(s *Status) { s.Workloads[0].Ready = false },
		"foreign component":   func(s *Status) { s.Components[0].Ready, s.Components[0].Foreign = false, true },
		"up has not finished": func(s *Status) { s.incomplete = true },
	} {
		s := good()
		spoil(s)
		s.judge()
		if s.Ready != (name == "") {
			t.Errorf("with a spoiled %q: ready = %v", name, s.Ready)
		}
		if repairable := name != "" && name != "workload" && name != "foreign component"; s.Repairable() != repairable {
			t.Errorf("with a spoiled %q: repairable = %v", name, s.Repairable())
		}
	}
}
