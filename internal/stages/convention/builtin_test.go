package convention

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// order is that of their names with which profiles install them.
var order = []string{"Ports", "Probes", "Resources", "Restricted", "LiveView", "NodeJS"}

func TestBuiltIns(t *testing.T) {
	if len(order) != len(builtIns) {
		t.Fatalf("%d built-in conventions are tested of %d", len(order), len(builtIns))
	}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			for _, one := range archive.Files {
				parts[one.Name] = one.Data
			}
			config := &v1.ConfigFile{}
			if err := json.Unmarshal(parts["image.json"], config); err != nil {
				t.Fatal(err)
			}
			template := decodeYAML(t, parts["template.yaml"])
			applied := applyBuiltIns(template, configs{"app": config})
			got, err := yaml.Marshal(map[string]any{"applied": applied, "template": template})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(parts["want.yaml"]), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			before := template.DeepCopy()
			if again := applyBuiltIns(template, configs{"app": config}); len(again) > 0 || cmp.Diff(before, template) != "" {
				t.Errorf("a second time %q were applied: %s", again, cmp.Diff(before, template))
			}
		})
	}
}

func applyBuiltIns(template *corev1.PodTemplateSpec, images configs) []string {
	var applied []string
	for _, name := range order {
		for _, one := range builtIns[name](template, images) {
			applied = append(applied, name+"/"+one)
		}
	}
	return applied
}

func decodeYAML(t *testing.T, content []byte) *corev1.PodTemplateSpec {
	t.Helper()
	raw, err := yaml.YAMLToJSON(content)
	if err != nil {
		t.Fatal(err)
	}
	template, err := decode(runtime.RawExtension{Raw: raw})
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestDecodeRefuses(t *testing.T) {
	for _, content := range []string{`{"spec": {"contianers": []}}`, `{"spec": {"containers": "one"}}`, `[]`, `{"spec": {"containers": [{"name": "a", "name": "b"}]}}`, ``} {
		if template, err := decode(runtime.RawExtension{Raw: []byte(content)}); err == nil {
			t.Errorf("decode(%s) = %v, want an error", content, template)
		}
	}
}
