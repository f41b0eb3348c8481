package release

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestInventoryThatIsTooLarge: what is not there, or is not of the set, is left out, and only then.
func TestInventoryThatIsTooLarge(t *testing.T) {
	release := named("app", "1")
	configMap := func(name string) v1alpha1.ReleasedObject {
		return v1alpha1.ReleasedObject{Version: "v1", Kind: "ConfigMap", Namespace: "team", Name: name}
	}
	object := func(name, set string) runtime.Object {
		made := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
		made.SetNamespace("team")
		made.SetName(name)
		made.SetLabels(map[string]string{labelPartOf: set})
		return made
	}
	kinds := meta.NewDefaultRESTMapper(nil)
	kinds.Add(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, meta.RESTScopeNamespace)
	r := &reconciler{mapper: kinds}
	api := fake.NewSimpleDynamicClient(runtime.NewScheme(), object("there", idOf(release)), object("given", "other"))
	release.Status.Inventory = []v1alpha1.ReleasedObject{configMap("there"), configMap("never"), configMap("given")}
	names := []v1alpha1.ReleasedObject{configMap("next")}

	want := []v1alpha1.ReleasedObject{configMap("there"), configMap("next")}
	got, err := r.inventory(t.Context(), api, release, names, sizeOf(want...))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := r.inventory(t.Context(), api, release, names, maxInventory); err != nil || len(got) != 4 {
		t.Errorf("with room for all it is %v, %v", got, err)
	}
	_, err = r.inventory(t.Context(), api, release, names, sizeOf(want...)-1)
	if problem, is := errors.AsType[*failure](err); !is || problem.reason != v1alpha1.ReasonTooLarge {
		t.Errorf("what fits by no means gives %v", err)
	}
}
