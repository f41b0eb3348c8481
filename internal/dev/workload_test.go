package dev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
)

const goodWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: hello
  labels: {apps.tanzu.vmware.com/workload-type: web}
spec:
  env: [{name: PORT, value: "8080"}]
`

// says fails unless an error and its hints hold all parts.
func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	all := strings.Join(append([]string{err.Error()}, hint.Of(err)...), "\n")
	for _, part := range parts {
		if !strings.Contains(all, part) {
			t.Errorf("%q does not say %q", all, part)
		}
	}
}

func TestParseWorkload(t *testing.T) {
	if _, err := parseWorkload([]byte("---\n" + goodWorkload + "---\n")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, from, to string
		wants          []string
	}{
		{"not YAML", "labels: {", "labels: [", []string{"does not parse", "line"}},
		{"empty", goodWorkload, "", []string{"empty"}},
		{"another kind", "kind: Workload", "kind: Deployment", []string{"Deployment", "Workload of carto.run/v1alpha1"}},
		{"another version", "v1alpha1", "v2", []string{"carto.run/v2"}},
		{"two", goodWorkload, goodWorkload + "---\n" + goodWorkload, []string{"2 objects"}},
		{"no name", "  name: hello\n", "", []string{"metadata.name"}},
		{"bad name", "name: hello", "name: Hello_1", []string{"Hello_1", "not valid"}},
		{"no labels", "  labels: {apps.tanzu.vmware.com/workload-type: web}\n", "", []string{"no labels", "workload-type"}},
		{"unknown field", "  env:", "  replicas: 3\n  env:", []string{`unknown field "spec.replicas"`}},
		{"a key twice", "  env:", "  env: []\n  env:", []string{"does not parse", "env"}},
		{"wrong type", "env: [{", "env: {a: [{", []string{"does not parse"}},
		{"string for a list", `env: [{name: PORT, value: "8080"}]`, "env: 5", []string{"env"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseWorkload([]byte(strings.Replace(goodWorkload, test.from, test.to, 1)))
			says(t, err, test.wants...)
		})
	}
}

func FuzzParseWorkload(f *testing.F) {
	f.Add([]byte(goodWorkload))
	f.Add([]byte("---\n---\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		loaded, err := parseWorkload(content)
		if err == nil && (loaded.object.GetName() == "" || loaded.workload.Name != loaded.object.GetName()) {
			t.Errorf("accepted without a name: %q", content)
		}
	})
}

func TestReadWorkloadNamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "workload.yaml")
	for _, test := range []struct{ file, flag, fallback, want string }{
		{"", "", "", "default"},
		{"", "", "ctx", "ctx"},
		{"  namespace: own\n", "", "ctx", "own"},
		{"  namespace: own\n", "flag", "ctx", "flag"},
	} {
		content := strings.Replace(goodWorkload, "  name: hello\n", "  name: hello\n"+test.file, 1)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := readWorkload(file, test.flag, test.fallback)
		if err != nil {
			t.Fatal(err)
		}
		if got := loaded.object.GetNamespace(); got != test.want || loaded.workload.Namespace != test.want {
			t.Errorf("%+v gives %q", test, got)
		}
	}
	_, err := readWorkload(filepath.Join(t.TempDir(), "workload.yaml"), "", "")
	says(t, err, "no workload file", "-f FILE")
}

func TestChainFor(t *testing.T) {
	chain := func(name, at string, selector map[string]string) v1alpha1.ClusterSupplyChain {
		c := v1alpha1.ClusterSupplyChain{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if at != "" {
			c.Annotations = map[string]string{startsAt: at}
		}
		c.Spec.Selector = selector
		return c
	}
	web := map[string]string{"type": "web"}
	workload := &v1alpha1.Workload{ObjectMeta: metav1.ObjectMeta{Name: "hello", Labels: map[string]string{"type": "web", "team": "deck"}}}
	tests := []struct {
		name   string
		chains []v1alpha1.ClusterSupplyChain
		wants  []string
		start  string
	}{
		{"fits", []v1alpha1.ClusterSupplyChain{chain("a", "image", web)}, nil, startsAtImage},
		{"fits, unannotated", []v1alpha1.ClusterSupplyChain{chain("a", "", web)}, nil, startsAtImage},
		{"the one that asks more", []v1alpha1.ClusterSupplyChain{chain("a", "source", web), chain("b", "image", workload.Labels)}, nil, startsAtImage},
		{"none there", nil, []string{"no supply chain in the cluster", "--profile basic"}, ""},
		{"none fits", []v1alpha1.ClusterSupplyChain{chain("b", "", map[string]string{"type": "job"}), chain("a", "", map[string]string{"type": "api"})},
			[]string{"team: deck, type: web", "a (type: api); b (type: job)"}, ""},
		{"two fit", []v1alpha1.ClusterSupplyChain{chain("b", "", web), chain("a", "", web)}, []string{"several", "a, b"}, ""},
		{"starts at source", []v1alpha1.ClusterSupplyChain{chain("a", "source", web)}, nil, startsAtSource},
		{"starts elsewhere", []v1alpha1.ClusterSupplyChain{chain("a", "moon", web)}, []string{`starts at "moon"`, "must be image or source"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start, err := chainFor(workload, test.chains)
			if test.wants != nil {
				says(t, err, test.wants...)
			} else if err != nil || start != test.start {
				t.Errorf("got %q, %v, want %q", start, err, test.start)
			}
		})
	}
}
