package realize

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

func TestShow(t *testing.T) {
	for _, c := range []struct {
		value           any
		preview, digest string
	}{
		{"three", "three\n", "f6936912184481f5edd4c304ce27c5a1a827804fc7f329f43d273b8621870776"},
		{"5", "\"5\"\n", "11fd182657d58787e0e5b61c5da79195f8715fef7f957b9cdba2d8a581b2ca33"},
		{int64(5), "5\n", "f0b5c2c2211c8d67ed15e75e656c7862d086e9245420892a7de62cd9ec582a06"},
		{int64(1400000), "1.4e+06\n", "8f530001e2343b9c962b437664df3bcfa1b13c51a2be2f5bf20872694b4f2ad3"},
		{"knitting", "knitting\n", "ccea367d03c124f9594e3ba0aa97e533c35a47694f62757e4dce79039ca361d7"},
		{"not-tested", "not-tested\n", "87d44d7049a641ab2a679409d36a87450c5197849e2b0515b8838c53f4db541b"},
		{true, "true\n", "a17fcf0a2f50e2d495e4f90ce263410edc183add6c62699a2facbccf60410f74"},
		{nil, "null\n", "38e0b9de817f645c4bec37c0d4a3e58baecccb040f5718dc069a72c7385a0bed"},
		{map[string]any{"b": []any{int64(1)}, "a": map[string]any{"c": "x"}}, "a:\n    c: x\nb:\n    - 1\n", "d8d75285e4a7df5df00feccf43d549dbf300d05e648b11e28f0a69ffa87e115c"},
	} {
		preview, digest, err := show(c.value)
		if err != nil || preview != c.preview || digest != "sha256:"+c.digest {
			t.Errorf("%v: %q %s %v", c.value, preview, digest, err)
		}
	}
	preview, _, err := show(strings.Repeat("é", 1000))
	if err != nil || len(preview) > 1024 || len(preview) < 1022 || strings.ContainsRune(preview, '\uFFFD') {
		t.Errorf("a long preview has %d bytes", len(preview))
	}
}

func TestConditions(t *testing.T) {
	condition := func(kind, status, reason, message string, at int64) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: message, LastTransitionTime: metav1.Unix(at, 0)}
	}
	for name, c := range map[string]struct{ given, previous, want []metav1.Condition }{
		"none": {want: []metav1.Condition{condition("Ready", "Unknown", "Unknown", "", 9)}},
		"the last False wins": {
			given: []metav1.Condition{condition("A", "Unknown", "U", "u", 0), condition("B", "False", "F1", "f1", 0), condition("C", "False", "F2", "f2", 0), condition("D", "True", "T", "", 0)},
			want: []metav1.Condition{condition("A", "Unknown", "U", "u", 9), condition("B", "False", "F1", "f1", 9), condition("C", "False", "F2", "f2", 9),
				condition("D", "True", "T", "", 9), condition("Ready", "False", "F2", "f2", 9)},
		},
		"the first Unknown wins": {
			given: []metav1.Condition{condition("A", "Unknown", "U1", "u1", 0), condition("B", "Unknown", "U2", "u2", 0)},
			want:  []metav1.Condition{condition("A", "Unknown", "U1", "u1", 9), condition("B", "Unknown", "U2", "u2", 9), condition("Ready", "Unknown", "U1", "u1", 9)},
		},
		"times": {
			given:    []metav1.Condition{condition("A", "True", "T", "", 0), condition("B", "True", "T", "new", 0)},
			previous: []metav1.Condition{condition("A", "True", "T", "", 3), condition("B", "True", "T", "old", 3), condition("Ready", "True", "Ready", "", 4)},
			want:     []metav1.Condition{condition("A", "True", "T", "", 3), condition("B", "True", "T", "new", 9), condition("Ready", "True", "Ready", "", 4)},
		},
		"what the API server accepts": {
			given: []metav1.Condition{condition("A", "True", "foo.io/Ready-Condition:", "", 0), condition("B", "True", "", strings.Repeat("é", 20000), 0)},
			want: []metav1.Condition{condition("A", "True", "foo_io_Ready_Condition", "", 9), condition("B", "True", "Unknown", strings.Repeat("é", 16384), 9),
				condition("Ready", "True", "Ready", "", 9)},
		},
	} {
		if diff := cmp.Diff(c.want, Conditions(c.given, c.previous, metav1.Unix(9, 0))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHealth(t *testing.T) {
	object := func(text string) *unstructured.Unstructured {
		made := &unstructured.Unstructured{}
		read(t, text, &made.Object)
		return made
	}
	ready := `{status: {phase: Up, why: fine, conditions: [{type: Ready, status: "True", reason: R, message: good, lastTransitionTime: null}, {type: Bad, status: "Unknown", reason: R, message: hm, lastTransitionTime: null}]}}`
	for _, c := range []struct{ name, rule, object, status, reason, message string }{
		{"always", "alwaysHealthy: {}", "{}", "True", "AlwaysHealthy", ""},
		{"always, nothing stamped", "alwaysHealthy: {}", "", "Unknown", "NoStampedObject", ""},
		{"single", "singleConditionType: Ready", ready, "True", "ReadyCondition", "good"},
		{"single, unknown", "singleConditionType: Bad", ready, "Unknown", "BadCondition", "hm"},
		{"single, absent", "singleConditionType: Gone", ready, "Unknown", "GoneCondition", "condition with type [Gone] not found on resource status"},
		{"single, odd conditions", "singleConditionType: Ready", "{status: {conditions: {a: b}}}", "Unknown", "ReadyCondition", "condition with type [Ready] not found on resource status"},
		{"single, nothing stamped", "singleConditionType: Ready", "", "Unknown", "Unknown", ""},
		{"unhealthy field", "multiMatch: {healthy: {matchConditions: [{type: Ready, status: 'True'}]}, unhealthy: {matchFields: [{key: status.phase, operator: In, values: [Up], messagePath: status.why}]}}",
			ready, "False", "MatchedField", "field value: Up, message: fine"},
		{"unhealthy condition", "multiMatch: {healthy: {}, unhealthy: {matchConditions: [{type: Bad, status: Unknown}]}}", ready, "False", "MatchedCondition", "condition status: Unknown, message: hm"},
		{"all healthy", "multiMatch: {healthy: {matchConditions: [{type: Ready, status: 'True'}], matchFields: [{key: status.phase, operator: Exists}]}, unhealthy: {}}",
			ready, "True", "MatchedCondition", "condition status: True, message: good"},
		{"healthy by field", "multiMatch: {healthy: {matchFields: [{key: status.phase, operator: Exists}]}, unhealthy: {}}",
			ready, "True", "MatchedField", "field value: Up, message: unknown, error retrieving message path []"},
		{"half healthy", "multiMatch: {healthy: {matchConditions: [{type: Ready, status: 'True'}, {type: Bad, status: 'True'}]}, unhealthy: {}}", ready, "Unknown", "NoMatchesFulfilled", ""},
	} {
		template := &Template{Kind: v1alpha1.KindClusterTemplate, Spec: v1alpha1.TemplateSpec{HealthRule: &v1alpha1.HealthRule{}}}
		read(t, c.rule, template.Spec.HealthRule)
		var stamped *unstructured.Unstructured
		if c.object != "" {
			stamped = object(c.object)
		}
		want := metav1.Condition{Type: "Healthy", Status: metav1.ConditionStatus(c.status), Reason: c.reason, Message: c.message}
		if diff := cmp.Diff(want, health(template, stamped, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestLabelValue(t *testing.T) {
	for _, value := range []string{"", "short", strings.Repeat("x", 63), strings.Repeat("x", 64), "a/b", strings.Repeat("-", 70), "ends.", "with.dots", strings.Repeat("é", 40)} {
		label := LabelValue(value)
		if problems := validation.IsValidLabelValue(label); len(problems) > 0 {
			t.Errorf("%q becomes %q: %v", value, label, problems)
		}
		if legal := len(validation.IsValidLabelValue(value)) == 0; legal && label != value {
			t.Errorf("%q is legal and becomes %q", value, label)
		}
	}
}
