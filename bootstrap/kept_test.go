package bootstrap

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/kube"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	content, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{}
	if err := read.UnmarshalJSON(content); err != nil { // as the API server's answers are read
		t.Fatal(err)
	}
	return read
}

func TestTheirs(t *testing.T) {
	const ours = "{manager: slipway, operation: Apply, fieldsV1: {'f:spec': {'f:ytt': {}}}}"
	const theirManager = "{manager: kubectl-edit, operation: Update, fieldsV1: {'f:spec': {'f:ytt': {}}}}"
	const controllers = "{manager: slipway-controller, operation: Update, subresource: status, fieldsV1: {'f:status': {}}}"
	const labels = "{manager: kubectl-label, operation: Update, fieldsV1: {'f:metadata': {}}}"
	tests := []struct {
		name     string
		spec     string // of what is in the cluster
		marked   bool   // as having been given the very spec that is wanted
		managers string
		want     bool
	}{
		{"as it was given", "{ytt: profile, params: [{name: a, default: 8080}]}", true, ours, false},
		{"with a default of the API server's", "{ytt: profile, params: [{name: a, default: 8080}], lifecycle: mutable}", true, ours, false},
		{"with something more of somebody's", "{ytt: profile, params: [{name: a, default: 8080}], suspend: true}", true, ours + ", {manager: kubectl-patch, operation: Update, fieldsV1: {'f:spec': {'f:suspend': {}}}}", false},
		{"edited", "{ytt: mine, params: [{name: a, default: 8080}]}", true, theirManager, true},
		{"something taken away, of which no manager tells", "{ytt: profile}", true, ours, true},
		{"another length of a list", "{ytt: profile, params: []}", true, ours, true},
		{"of an older slipway", "{ytt: older}", false, ours + ", " + controllers + ", " + labels, false},
		{"of an older slipway, and edited", "{ytt: mine}", false, theirManager, true},
		{"replaced by one that has no such field", "{template: {}}", false, "{manager: kubectl-replace, operation: Update, fieldsV1: {'f:spec': {'f:template': {}}}}", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			decoded, err := kube.Decode([]byte("apiVersion: carto.run/v1alpha1\nkind: ClusterConfigTemplate\nmetadata: {name: a}\nspec: {ytt: profile, params: [{name: a, default: 8080}]}"))
			if err != nil {
				t.Fatal(err)
			}
			wanted := decoded[0]
			if err := mark(wanted); err != nil {
				t.Fatal(err)
			}
			live := object(t, "{apiVersion: carto.run/v1alpha1, kind: ClusterConfigTemplate, metadata: {name: a, managedFields: ["+test.managers+"]}, spec: "+test.spec+"}")
			if test.marked {
				live.SetAnnotations(wanted.GetAnnotations())
			}
			if got := theirs(live, wanted); got != test.want {
				t.Errorf("theirs = %t, want %t (others: %v)", got, test.want, others(live))
			}
		})
	}
}
