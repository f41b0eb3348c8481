package template

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// golden is one case: who sets params, the template, and what must come of it.
type golden struct {
	Workload v1alpha1.Workload         `json:"workload"`
	Chain    []v1alpha1.BlueprintParam `json:"chain"`
	Resource []v1alpha1.BlueprintParam `json:"resource"`
	Params   []v1alpha1.TemplateParam  `json:"params"`
	Context  map[string]any            `json:"context"`
	Template json.RawMessage           `json:"template"`
	Ytt      string                    `json:"ytt"`
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				t.Run(archive.Files[i].Name, func(t *testing.T) {
					got := renderGolden(t, archive.Files[i].Data)
					if diff := cmp.Diff(strings.TrimSpace(string(archive.Files[i+1].Data)), strings.TrimSpace(got)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}

func renderGolden(t *testing.T, input []byte) string {
	t.Helper()
	var given golden
	if err := yaml.UnmarshalStrict(input, &given); err != nil {
		t.Fatal(err)
	}
	params, err := Params(ParamSources{Template: given.Params, Chain: given.Chain, Resource: given.Resource, Owner: given.Workload.Spec.Params})
	if err != nil {
		return "error: " + err.Error()
	}
	context := map[string]any{"workload": &given.Workload, "params": params}
	for key, value := range given.Context {
		context[key] = value
	}
	spec := &v1alpha1.TemplateSpec{Ytt: given.Ytt}
	if given.Template != nil {
		spec.Template = &runtime.RawExtension{Raw: given.Template}
	}
	object, err := NewRenderer().Render(t.Context(), spec, context)
	if err != nil {
		return "error: " + err.Error()
	}
	encoded, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{"plain", "$(params.a)$", "x$(params.a)$y$(params.o.k)$", "$(", ")$", "$()$", "$(a) $(b)$", "$(params[?(@.x==1)])$",
		"$(workload.spec.params[*].name)$", "$(..)$", "$({range .params[*]}{end})$", "$(params['a\\')$", "$(params.a[-1:9:0])$"} {
		f.Add(seed)
	}
	workload := parse(f, lookupWorkload)
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(map[string]any{"text": text})
		if err != nil {
			t.Skip()
		}
		context := map[string]any{"workload": workload, "params": map[string]any{"a": "$(params.b)$", "b": "no", "o": map[string]any{"k": int64(1)}}}
		object, err := Render(encoded, context)
		if err == nil && !strings.Contains(text, "$(") {
			// What holds no tag comes out as JSON took it in.
			var plain map[string]any
			if err := json.Unmarshal(encoded, &plain); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain, object); diff != "" {
				t.Errorf("changed without a tag (-want +got):\n%s", diff)
			}
		}
	})
}
