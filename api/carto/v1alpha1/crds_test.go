package v1alpha1_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestDefinitions compares what users type and see with Cartographer's.
func TestDefinitions(t *testing.T) {
	type definition struct {
		plural, short, scope, columns string
		status, inAll                 bool
	}
	const plain, sourced = "Ready Reason Age", "Source %s Ready Reason Age"
	want := map[string]definition{
		v1alpha1.KindWorkload:                  {"workloads", "wld", "Namespaced", strings.Replace(sourced, "%s", "SupplyChain", 1), true, true},
		v1alpha1.KindClusterSupplyChain:        {"clustersupplychains", "csc", "Cluster", plain, true, false},
		v1alpha1.KindDeliverable:               {"deliverables", "dlv", "Namespaced", strings.Replace(sourced, "%s", "Delivery", 1), true, true},
		v1alpha1.KindClusterDelivery:           {"clusterdeliveries", "cd", "Cluster", plain, true, false},
		v1alpha1.KindRunnable:                  {"runnables", "run", "Namespaced", plain, true, false},
		v1alpha1.KindClusterRunTemplate:        {"clusterruntemplates", "crt", "Cluster", "", false, false},
		v1alpha1.KindClusterSourceTemplate:     {"clustersourcetemplates", "cst", "Cluster", "", false, false},
		v1alpha1.KindClusterImageTemplate:      {"clusterimagetemplates", "cit", "Cluster", "", false, false},
		v1alpha1.KindClusterConfigTemplate:     {"clusterconfigtemplates", "cct", "Cluster", "", false, false},
		v1alpha1.KindClusterDeploymentTemplate: {"clusterdeploymenttemplates", "cdt", "Cluster", "", false, false},
		v1alpha1.KindClusterTemplate:           {"clustertemplates", "ct", "Cluster", "", false, false},
	}
	got := map[string]definition{}
	for _, crd := range definitions(t) {
		version := crd.Spec.Versions[0]
		var columns []string
		for _, column := range version.AdditionalPrinterColumns {
			columns = append(columns, column.Name)
		}
		got[crd.Spec.Names.Kind] = definition{
			plural: crd.Spec.Names.Plural, short: strings.Join(crd.Spec.Names.ShortNames, " "), scope: string(crd.Spec.Scope), columns: strings.Join(columns, " "),
			status: version.Subresources != nil && version.Subresources.Status != nil, inAll: len(crd.Spec.Names.Categories) == 1 && crd.Spec.Names.Categories[0] == "all",
		}
		if diff := cmp.Diff([]string{"metadata", "spec"}, version.Schema.OpenAPIV3Schema.Required); diff != "" {
			t.Errorf("%s: required (-want +got):\n%s", crd.Name, diff)
		}
		if len(crd.Spec.Versions) != 1 || version.Name != v1alpha1.GroupVersion.Version || !version.Served || !version.Storage {
			t.Errorf("%s: versions %v", crd.Name, crd.Spec.Versions)
		}
		noRules(t, crd.Name, *version.Schema.OpenAPIV3Schema)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(definition{})); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

// noRules fails where a schema is stricter than Cartographer's in a way that its own has none of.
func noRules(t *testing.T, at string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	if len(schema.XValidations) > 0 {
		t.Errorf("%s has CEL rules", at)
	}
	if schema.XListType != nil && strings.HasSuffix(at, ".conditions") {
		t.Errorf("%s is a list of type %s: duplicates must be storable", at, *schema.XListType)
	}
	for name, property := range schema.Properties {
		noRules(t, at+"."+name, property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		noRules(t, at+"[]", *schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		noRules(t, at+"{}", *schema.AdditionalProperties.Schema)
	}
}

// TestSchemes knows a Go type for each definition.
func TestSchemes(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, crd := range definitions(t) {
		for _, kind := range []string{crd.Spec.Names.Kind, crd.Spec.Names.ListKind} {
			if _, err := scheme.New(v1alpha1.GroupVersion.WithKind(kind)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestEmptyRetentionPolicyIsNotWritten : the API server's default comes only where nothing is written.
func TestEmptyRetentionPolicyIsNotWritten(t *testing.T) {
	encoded, err := yaml.Marshal(v1alpha1.RunnableSpec{RunTemplateRef: v1alpha1.TemplateReference{Name: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(encoded), "runTemplateRef:\n  name: x\n"; got != want {
		t.Errorf("written as %q, want %q", got, want)
	}
}

func definitions(t *testing.T) []apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "embedded", "crds", "carto.run_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	var found []apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found = append(found, crd)
	}
	return found
}
