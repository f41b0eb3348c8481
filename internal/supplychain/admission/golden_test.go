package admission

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs each testdata/*.txtar: object.yaml, and what is said of it in error and warnings (a line each).
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
			given := map[string]string{}
			for _, f := range archive.Files {
				given[f.Name] = string(f.Data)
			}
			object := objectIn(t, given["object.yaml"])
			got := map[string]string{"error": "", "warnings": ""}
			if err := Validate(object); err != nil {
				got["error"] = err.Error() + "\n"
			}
			for _, warning := range Warnings(object) {
				got["warnings"] += warning + "\n"
			}
			if *update {
				for i, f := range archive.Files {
					if text, asked := got[f.Name]; asked {
						archive.Files[i].Data = []byte(text)
					}
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			for name, text := range got {
				if diff := cmp.Diff(given[name], text); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func objectIn(t *testing.T, document string) any {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	object, err := scheme.New(v1alpha1.GroupVersion.WithKind(meta.Kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	return object
}

// TestZeroValues gives Validate and Warnings objects in which nothing is set: only that they return is asked.
func TestZeroValues(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for kind := range scheme.KnownTypes(v1alpha1.GroupVersion) {
		object, err := scheme.New(v1alpha1.GroupVersion.WithKind(kind))
		if err != nil {
			t.Fatal(err)
		}
		_ = Validate(object)
		_ = Warnings(object)
	}
	if err := Validate(nil); err != nil {
		t.Errorf("Validate(nil) = %v", err)
	}
}

// TestOurOwnKeepTheRules checks the supply chains and templates that slipway ships.
func TestOurOwnKeepTheRules(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "embedded", "templates", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(content), "\n---\n") {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
				t.Fatal(err)
			}
			if meta.APIVersion != v1alpha1.GroupVersion.String() {
				continue
			}
			object := objectIn(t, document)
			if err := Validate(object); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, warning := range Warnings(object) {
				t.Errorf("%s: warning: %s", file, warning)
			}
		}
	}
}
