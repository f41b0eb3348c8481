package profiles_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	conventions "slipway.dev/slipway/api/conventions/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/manifest"
)

// TestStampedObjectsAreWhatTheirKindsAsk reads what the templates stamp, and the manifests in it that are delivered,
// strictly: the API server would drop a misspelt field, or refuse it.
func TestStampedObjectsAreWhatTheirKindsAsk(t *testing.T) {
	known := map[string]func() any{
		"slipway.dev/v1alpha1 Source":              func() any { return &v1alpha1.Source{} },
		"slipway.dev/v1alpha1 Build":               func() any { return &v1alpha1.Build{} },
		"slipway.dev/v1alpha1 Image":               func() any { return &v1alpha1.Image{} },
		"slipway.dev/v1alpha1 GitCommit":           func() any { return &v1alpha1.GitCommit{} },
		"slipway.dev/v1alpha1 Release":             func() any { return &v1alpha1.Release{} },
		"slipway.dev/v1alpha1 TestRun":             func() any { return &v1alpha1.TestRun{} },
		"conventions.carto.run/v1alpha1 PodIntent": func() any { return &conventions.PodIntent{} },
		"carto.run/v1alpha1 Runnable":              func() any { return &carto.Runnable{} },
		"carto.run/v1alpha1 Deliverable":           func() any { return &carto.Deliverable{} },
		"apps/v1 Deployment":                       func() any { return &appsv1.Deployment{} },
		"v1 Service":                               func() any { return &corev1.Service{} },
		"v1 ConfigMap":                             func() any { return &corev1.ConfigMap{} },
		"networking.k8s.io/v1 Ingress":             func() any { return &networkingv1.Ingress{} },
	}
	read := 0
	check := func(where string, content []byte) any {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(content, &kind); err != nil {
			t.Errorf("%s: %v", where, err)
			return nil
		}
		make := known[kind.APIVersion+" "+kind.Kind]
		if make == nil {
			return nil // of another tool
		}
		object := make()
		if err := yaml.UnmarshalStrict(content, object); err != nil {
			t.Errorf("%s: %s: %v", where, kind.Kind, err)
		}
		read++
		return object
	}
	err := fs.WalkDir(os.DirFS("testdata/templates"), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Base(name) != "expected.yaml" {
			return err
		}
		content, err := os.ReadFile(path.Join("testdata/templates", name))
		if err != nil {
			return err
		}
		files, is := check(name, content).(*corev1.ConfigMap)
		if !is {
			return nil
		}
		for file, text := range files.Data {
			if !strings.HasSuffix(file, ".yml") {
				continue
			}
			for _, document := range manifest.Split([]byte(text)) {
				check(name+": "+file, document.Data)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 40 {
		t.Errorf("%d objects were read", read)
	}
}
