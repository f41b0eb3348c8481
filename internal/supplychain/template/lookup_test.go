package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const lookupWorkload = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: web, namespace: dev, labels: {a/b: c, "d.e": f}}
spec:
  params: [{name: p, value: {k: 3}}, {name: q, value: null}]
  build: {env: [{name: A, value: "1"}]}
`

// parse reads a workload as the API server's clients do.
func parse(t testing.TB, text string) *v1alpha1.Workload {
	t.Helper()
	workload := &v1alpha1.Workload{}
	if err := yaml.UnmarshalStrict([]byte(text), workload); err != nil {
		t.Fatal(err)
	}
	return workload
}

func TestLookup(t *testing.T) {
	data := map[string]any{
		"workload":    parse(t, lookupWorkload),
		"params":      map[string]any{"o": map[string]any{"k": int64(9007199254740993)}, "a-b/c": "dashed", "d.e": "dotted", "f": 1.5, "t": true, "null": nil},
		"labels":      map[string]string{"carto.run/workload-name": "web"},
		"deployment":  nil,
		"list":        []any{"x", "y"},
		"deliverable": &v1alpha1.Deliverable{},
		"empty":       &v1alpha1.Workload{},
		"runnable":    &v1alpha1.Runnable{Spec: v1alpha1.RunnableSpec{Inputs: map[string]apiextensionsv1.JSON{"o": {Raw: []byte(`{"k":1}`)}}}},
		"selected":    nil,
	}
	for path, want := range map[string]any{
		"params.o":                        map[string]any{"k": int64(9007199254740993)},
		"params.o.k":                      int64(9007199254740993),
		".params.o.k":                     int64(9007199254740993),
		"{.params.o.k}":                   int64(9007199254740993),
		"params['a-b/c']":                 "dashed",
		"params.a-b/c":                    "dashed",
		`params.d\.e`:                     "dotted",
		"params.f":                        1.5,
		"params.t":                        true,
		"params.null":                     nil,
		`labels.carto\.run/workload-name`: "web",
		"deployment":                      nil,
		"list[-1:]":                       "y",
		"workload.kind":                   "Workload",
		"workload.metadata.name":          "web",
		`workload.metadata.labels.d\.e`:   "f",
		`workload.spec.params[?(@.name=="p")].value`: map[string]any{"k": int64(3)},
		`workload.spec.params[?(@.name=="q")].value`: nil,
		"workload.spec.build.env":                    []any{map[string]any{"name": "A", "value": "1"}},
		"workload.spec.build":                        map[string]any{"env": []any{map[string]any{"name": "A", "value": "1"}}},
		"workload.spec.params[-1:].name":             "q",
		"workload.metadata.ownerReferences":          nil,
		"workload.metadata.creationTimestamp":        nil,
		"deliverable.status.deliveryRef":             map[string]any{},
		"deliverable.spec.source":                    nil,
		"deliverable.spec.params":                    nil,
		"empty.spec.build":                           map[string]any{},
		"runnable.spec.inputs.o":                     map[string]any{"k": int64(1)},
		"runnable.spec.selector":                     nil,
		"selected":                                   nil,
		"workload.spec.env":                          nil,
		"workload.spec.resources":                    nil,
		"workload.spec.source":                       nil,
		"workload.spec.image":                        nil,
		"workload.metadata.annotations":              nil,
		"workload.metadata.deletionTimestamp":        nil,
		"workload.status.conditions":                 nil,
		"workload.spec.serviceAccountName":           "",
		"workload.metadata.generateName":             "",
		"workload.metadata.uid":                      "",
		"workload.metadata.generation":               int64(0),
		"workload.status.observedGeneration":         int64(0),
	} {
		got, err := Lookup(path, data)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{
		"params.missing", "undefined[1]", "^", "params['d.e']", "labels['carto.run/workload-name']",
		"workload.spec.source.git.url", "workload.spec.resources.requests.cpu", "workload.metadata.labels.x", "deployment.url", "runnable.spec.inputs.o.k", "selected.spec.x",
		`workload.spec.params[?(@.name=="p")].value.k`,
	} {
		_, err := Lookup(path, data)
		var missing *NotFoundError
		if !errors.As(err, &missing) || err.Error() != "jsonpath returned empty list: "+path {
			t.Errorf("%s: error %v, want that it leads nowhere", path, err)
		}
	}
	for path, want := range map[string]string{
		"":                                  "empty jsonpath not allowed",
		"workload.spec.params[*].name":      "too many results for the query: workload.spec.params[*].name",
		"workload.spec.params[5].name":      "evaluate: failed to find results: array index out of bounds: index 5, length 2",
		"params[0]":                         "is not array or slice",
		"params[":                           "evaluate: failed to parse jsonpath 'params[': ",
		"{params.o}":                        "",
		"..x..x..x..x":                      "it has more than 3 times '..'",
		"list[0,0,0,0,0,0,0,0,0,0,0,0,0,0]": "it has more than 12 times ','",
	} {
		if _, err := Lookup(path, data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, seed := range []string{"a", ".a.b", "{.a}", "a[0]", "a[-1:]", "a[*].b", "..b", "a['x']", `a[?(@.b=="c")].d`, `a\.b`, "a[?(@.b>1)]", "a[0,1]", "{range .a[*]}{.b}{end}", "$.a", "@"} {
		f.Add(seed)
	}
	deep := map[string]any{}
	for range 20 {
		deep = map[string]any{"a": deep, "b": []any{"x", int64(1), []any{true, nil}}}
	}
	f.Fuzz(func(t *testing.T, path string) {
		_, _ = Lookup(path, deep)
		_, _ = Lookup(path, map[string]any{"workload": &v1alpha1.Workload{}})
	})
}

func TestLookupGivesCopies(t *testing.T) {
	data := map[string]any{"a": map[string]any{"b": "before"}}
	got, err := Lookup("a", data)
	if err != nil {
		t.Fatal(err)
	}
	got.(map[string]any)["b"] = "after"
	if data["a"].(map[string]any)["b"] != "before" {
		t.Error("what was found is what it was found in")
	}
}
