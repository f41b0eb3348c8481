package selector

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBest reads cases of three files: the workload, the chains' specs, and the result.
func TestBest(t *testing.T) {
	file := filepath.Join("testdata", "best.txtar")
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if *update && os.WriteFile(file, txtar.Format(archive), 0o644) != nil {
			t.Error("the golden file cannot be written")
		}
	})
	for i := 0; i+2 < len(archive.Files); i += 3 {
		t.Run(archive.Files[i].Name, func(t *testing.T) {
			var workload v1alpha1.Workload
			var specs []v1alpha1.LegacySelector
			read(t, archive.Files[i].Data, &workload)
			read(t, archive.Files[i+1].Data, &specs)
			var candidates []Selector
			for _, spec := range specs {
				candidates = append(candidates, OfChain(&v1alpha1.ClusterSupplyChain{Spec: v1alpha1.SupplyChainSpec{LegacySelector: spec}}))
			}
			best, bad := Best(candidates, &workload)
			got := fmt.Sprintf("best: %v\n", best)
			for _, b := range bad {
				got += fmt.Sprintf("%d: %v\n", b.Index, b.Err)
			}
			if *update {
				archive.Files[i+2].Data = []byte(got)
				return
			}
			if diff := cmp.Diff(strings.TrimSpace(string(archive.Files[i+2].Data)), strings.TrimSpace(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func read(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestField(t *testing.T) {
	var workload v1alpha1.Workload
	read(t, []byte(`{metadata: {labels: {has: "yes"}}, spec: {image: img, params: [{name: num, value: 11}, {name: s, value: "11"}, {name: gone, value: null}]}}`), &workload)
	param := func(name string) string { return `spec.params[?(@.name=="` + name + `")].value` }
	for _, c := range []struct {
		key, operator string
		values        []string
		want          bool
	}{
		{"spec.image", "Exists", nil, true},
		{".spec.image", "In", []string{"img"}, true},
		{"spec.image", "NotIn", []string{"other"}, true},
		{"spec.image", "NotIn", []string{"img"}, false},
		{"spec.image", "DoesNotExist", nil, false},
		{"spec.source", "Exists", nil, false},
		{"spec.source", "DoesNotExist", nil, true},
		{"spec.source", "NotIn", []string{"x"}, true},
		{"spec.source.git", "Exists", nil, false},
		{"spec.source.git", "In", []string{""}, false},
		{"spec.source.git", "NotIn", []string{"x"}, false},
		{"spec.source.git", "DoesNotExist", nil, true},
		{"spec.serviceAccountName", "Exists", nil, true},
		{"spec.build", "Exists", nil, true},
		{"metadata.labels.has", "In", []string{"no", "yes"}, true},
		{param("num"), "In", []string{"11"}, false},
		{param("num"), "NotIn", []string{"11"}, true},
		{param("s"), "In", []string{"11"}, true},
		{param("gone"), "Exists", nil, false},
		{param("nobody"), "DoesNotExist", nil, true},
	} {
		got, err := Field(v1alpha1.FieldSelectorRequirement{Key: c.key, Operator: v1alpha1.FieldSelectorOperator(c.operator), Values: c.values}, &workload)
		if err != nil || got != c.want {
			t.Errorf("%s %s %v: %t, %v; want %t", c.key, c.operator, c.values, got, err, c.want)
		}
	}
}

func FuzzFits(f *testing.F) {
	f.Add("a", "1", "spec.image", "Exists", "x")
	f.Add("a", "not a value", "spec.params[*].name", "In", "p")
	f.Add("a/b/c", "", `metadata.labels['a']`, "Nonsense", "")
	f.Add("a", "In", "..a..b", "NotIn", "")
	var workload v1alpha1.Workload
	if err := yaml.UnmarshalStrict([]byte(`{metadata: {labels: {a: "1"}}, spec: {image: x, params: [{name: p, value: {k: [1]}}]}}`), &workload); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, label, value, key, operator, wanted string) {
		one := Selector{
			MatchLabels: map[string]string{label: value},
			MatchFields: []v1alpha1.FieldSelectorRequirement{{Key: key, Operator: v1alpha1.FieldSelectorOperator(operator), Values: []string{wanted}}},
		}
		expressions := Selector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: label, Operator: metav1.LabelSelectorOperator(operator), Values: []string{value}}}}
		plain := Selector{MatchLabels: map[string]string{"a": "1"}}
		best, bad := Best([]Selector{one, expressions, plain}, &workload)
		if len(best) == 0 {
			t.Errorf("nothing fits, though the last one does; bad: %v", bad)
		}
	})
}
