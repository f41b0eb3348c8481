package realize

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestHealthOfAnEarlierGeneration : what was said of an object before it was given something new says nothing of that.
func TestHealthOfAnEarlierGeneration(t *testing.T) {
	for _, test := range []struct {
		said any // observedGeneration of the condition; nil is none
		want metav1.ConditionStatus
	}{{nil, "True"}, {int64(2), "True"}, {int64(3), "True"}, {int64(1), "Unknown"}} {
		condition := map[string]any{"type": "Ready", "status": "True"}
		if test.said != nil {
			condition["observedGeneration"] = test.said
		}
		object := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"generation": int64(2)}, "status": map[string]any{"conditions": []any{condition}},
		}}
		got := singleCondition("Ready", object)
		if got.Status != test.want || (got.Status == "Unknown") != strings.Contains(got.Message, "is of generation 1") {
			t.Errorf("generation %v: %+v, want %s", test.said, got, test.want)
		}
	}
}
