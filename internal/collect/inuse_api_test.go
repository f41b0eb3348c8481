package collect

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"slipway.dev/slipway/internal/kube"
)

func TestInUseOnARealAPIServer(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: scripts/test-api.sh runs this")
	}
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "embedded", "crds")}, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = environment.Stop() })
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kube.Decode([]byte(`
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {namespace: default, name: hello}
spec: {image: "localhost:5000/apps/hello@` + digestOf("a") + `"}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: default, name: rendered}
data: {app.yaml: "image: slipway-registry:5000/apps/rendered:v1"}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: secret}
stringData: {text: "` + digestOf("b") + `"}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {namespace: default, name: scaled-down}
spec:
  replicas: 0
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec: {containers: [{name: x, image: "localhost:5000/apps/earlier@` + digestOf("c") + `"}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	workload := objects[0].DeepCopy()
	if err := unstructured.SetNestedSlice(workload.Object, []any{map[string]any{
		"name": "image", "outputs": []any{map[string]any{"name": "image", "preview": "localhost:5000/apps/hello@" + digestOf("d"), "digest": "x", "lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z")}},
	}}, "status", "resources"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Status().Update(t.Context(), workload); err != nil {
		t.Fatal(err)
	}

	keep, err := InUse(t.Context(), config, "localhost:5000", "slipway-registry:5000")
	if err != nil {
		t.Fatal(err)
	}
	for letter, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := slices.Contains(keep.Digests, digestOf(letter)); got != want {
			t.Errorf("digest %s... is kept: %t, want %t", letter, got, want)
		}
	}
	if !slices.Contains(keep.References, "apps/rendered:v1") {
		t.Errorf("the references %q lack what a ConfigMap names", keep.References)
	}

	config.Host = "https://127.0.0.1:1"
	if _, err := InUse(t.Context(), config, "localhost:5000"); err == nil {
		t.Error("a cluster that does not answer has nothing in use")
	}
}
