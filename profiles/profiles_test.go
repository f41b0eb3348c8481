package profiles_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/profiles"
)

func TestProfilesAreCumulative(t *testing.T) {
	var before profiles.Profile
	for _, profile := range profiles.All() {
		for _, component := range before.Components {
			if !profile.Has(component) {
				t.Errorf("profile %s lacks %s, which the smaller %s has", profile.Name, component, before.Name)
			}
		}
		before = profile
	}
}

// TestObjectsAreWhatTheKindsAsk reads every object of carto.run strictly: a misspelt field is an error.
func TestObjectsAreWhatTheKindsAsk(t *testing.T) {
	known := map[string]func() runtime.Object{
		"ClusterSupplyChain":        func() runtime.Object { return &carto.ClusterSupplyChain{} },
		"ClusterDelivery":           func() runtime.Object { return &carto.ClusterDelivery{} },
		"ClusterImageTemplate":      func() runtime.Object { return &carto.ClusterImageTemplate{} },
		"ClusterConfigTemplate":     func() runtime.Object { return &carto.ClusterConfigTemplate{} },
		"ClusterSourceTemplate":     func() runtime.Object { return &carto.ClusterSourceTemplate{} },
		"ClusterTemplate":           func() runtime.Object { return &carto.ClusterTemplate{} },
		"ClusterDeploymentTemplate": func() runtime.Object { return &carto.ClusterDeploymentTemplate{} },
		"ClusterRunTemplate":        func() runtime.Object { return &carto.ClusterRunTemplate{} },
	}
	for _, profile := range profiles.All() {
		objects, err := profile.ObjectsFor(profiles.Settings{RegistryPort: 5007})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, object := range objects {
			if object.GroupVersionKind().Group == "carto.run" {
				text, err := yaml.Marshal(object.Object)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(text), "${") || strings.Contains(string(text), "localhost:5000") {
					t.Errorf("%s %s was not filled in:\n%s", object.GetKind(), object.GetName(), text)
				}
				make := known[object.GetKind()]
				if make == nil {
					t.Fatalf("kind %s is not known here", object.GetKind())
				}
				if err := yaml.UnmarshalStrict(text, make()); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
			}
			names[object.GetKind()+"/"+object.GetName()] = true
		}
		for _, object := range objects {
			if object.GetKind() == "ClusterSupplyChain" || object.GetKind() == "ClusterDelivery" {
				checkReferences(t, object.Object, names)
			}
		}
	}
}

// checkReferences sees that the templates of a supply chain or a delivery are in the profile.
func checkReferences(t *testing.T, object map[string]any, names map[string]bool) {
	t.Helper()
	var chain carto.ClusterSupplyChain // of whose fields a delivery has all that are read here
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &chain); err != nil {
		t.Fatal(err)
	}
	for _, resource := range chain.Spec.Resources {
		wanted := []string{resource.TemplateRef.Name}
		if resource.TemplateRef.Name == "" {
			wanted = nil
			for _, option := range resource.TemplateRef.Options {
				wanted = append(wanted, option.Name)
			}
		}
		for _, name := range wanted {
			if !names[resource.TemplateRef.Kind+"/"+name] {
				t.Errorf("%s %s: resource %s: no %s %s", chain.Kind, chain.Name, resource.Name, resource.TemplateRef.Kind, name)
			}
		}
	}
}

func TestGet(t *testing.T) {
	if profile, err := profiles.Get(profiles.Default); err != nil || profile.Name != profiles.Default {
		t.Errorf("Get(%s) = %v, %v", profiles.Default, profile.Name, err)
	}
	for name, words := range map[string]string{"scanning": "not built yet", "nonsense": "no profile"} {
		_, err := profiles.Get(name)
		if err == nil || !strings.Contains(err.Error(), words) || !slices.ContainsFunc(hint.Of(err), func(s string) bool { return strings.Contains(s, "basic") }) {
			t.Errorf("Get(%s): error = %v with hints %q", name, err, hint.Of(err))
		}
	}
}
