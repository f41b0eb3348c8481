package profiles_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/manifest"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
	"slipway.dev/slipway/internal/supplychain/templatetest"
)

// TestTemplates runs the cases that `slipway template test profiles/testdata/templates` runs.
func TestTemplates(t *testing.T) {
	results, err := templatetest.Run(t.Context(), filepath.Join("testdata", "templates"))
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		t.Run(strings.TrimPrefix(result.Dir, "testdata/templates/"), func(t *testing.T) {
			if result.Err != nil {
				t.Error(result.Err)
			}
			if result.Focused {
				t.Error("the case is focused, so that others do not run")
			}
		})
	}
}

// shipped is a template as a file of profile testing has it.
func shipped(t *testing.T, file, name string) *realize.Template {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "embedded", "templates", "testing", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range manifest.Split(content) {
		if !strings.Contains(string(document.Data), "\n  name: "+name+"\n") || strings.Contains(string(document.Data), "kind: ClusterDelivery\n") {
			continue
		}
		object, err := manifest.Decode(document.Data)
		if err != nil {
			t.Fatal(err)
		}
		found, err := realize.TemplateOf(object)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	t.Fatalf("%s has no template %s", file, name)
	return nil
}

func paramsOf(t *testing.T, tested *realize.Template, set map[string]any) map[string]any {
	t.Helper()
	params, err := template.Params(template.ParamSources{Template: tested.Spec.Params})
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(params, set)
	return params
}

// TestDeliverableOfPartOfARepository: some of the params that only work together are a mistake, which is named.
func TestDeliverableOfPartOfARepository(t *testing.T) {
	tested := shipped(t, "deliverable.yaml", "deliverable-template")
	workload := &carto.Workload{}
	workload.Name, workload.Namespace = "shop", "team"
	for _, test := range []struct {
		set  map[string]any
		want string
	}{
		{map[string]any{"gitops_repository_owner": "me"}, "gitops_repository_owner is set, but not gitops_server_address and gitops_repository_name"},
		{map[string]any{"gitops_server_address": "https://github.com", "gitops_repository_name": "config"}, "gitops_server_address and gitops_repository_name is set, but not gitops_repository_owner"},
	} {
		_, err := template.NewRenderer().Render(t.Context(), &tested.Spec, map[string]any{"workload": workload, "params": paramsOf(t, tested, test.set)})
		if err == nil || !strings.Contains(err.Error(), "missing parameter: "+test.want) {
			t.Errorf("%v: %v, want %q", test.set, err, test.want)
		}
	}
}

// TestDeliverySource renders the source of deliverables of either kind.
func TestDeliverySource(t *testing.T) {
	tested := shipped(t, "delivery.yaml", "delivery-source-template")
	for name, test := range map[string]struct {
		source string
		set    map[string]any
		want   string
	}{
		"git": {
			"{git: {url: 'http://slipway-git:9418/slipway/config.git', ref: {branch: main}}, subPath: config/team/shop}", nil,
			"{serviceAccountName: default, subPath: config/team/shop, git: {url: 'http://slipway-git:9418/slipway/config.git', ref: {branch: main}}}",
		},
		"git with a secret": {
			"{git: {url: 'https://git.example/x.git'}}", map[string]any{"source_credentials_secret": "git", "serviceAccount": "deployer"},
			"{serviceAccountName: deployer, git: {url: 'https://git.example/x.git', secretRef: {name: git}}}",
		},
		"bundle": {"{image: 'localhost:5000/apps/shop-team-bundle:1'}", nil, "{serviceAccountName: default, image: 'localhost:5000/apps/shop-team-bundle:1'}"},
	} {
		t.Run(name, func(t *testing.T) {
			deliverable := &carto.Deliverable{}
			deliverable.Name, deliverable.Labels = "shop", map[string]string{"kapp.k14s.io/app": "1", "a": "b"}
			if err := yaml.UnmarshalStrict([]byte(test.source), &deliverable.Spec.Source); err != nil {
				t.Fatal(err)
			}
			object, err := template.NewRenderer().Render(t.Context(), &tested.Spec, map[string]any{"deliverable": deliverable, "params": paramsOf(t, tested, test.set)})
			if err != nil {
				t.Fatal(err)
			}
			var got v1alpha1.Source
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, &got, true); err != nil {
				t.Fatal(err)
			}
			var want v1alpha1.SourceSpec
			if err := yaml.UnmarshalStrict([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Spec); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"a": "b", "app.kubernetes.io/component": "source"}, got.Labels); got.Name != "shop-delivery" || diff != "" {
				t.Errorf("%s has labels -want +got:\n%s", got.Name, diff)
			}
		})
	}
}
