package realize

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

var update = flag.Bool("update", false, "write the golden files anew")

// paper is a cluster that exists on paper: it keeps what is applied and adds the status that the case gives it.
type paper struct {
	templates map[string]*Template
	// statuses are by kind and name.
	statuses map[string]map[string]any
	applied  []*unstructured.Unstructured
	// generations are what was made before, newest first, by the resource's name.
	generations map[string][]map[string]any
	asked       []Generation
}

func (p *paper) Template(_ context.Context, kind, name string) (*Template, error) {
	if strings.HasPrefix(name, "unreadable") {
		return nil, apierrors.NewInternalError(errors.New("etcd is away"))
	}
	if found, ok := p.templates[kind+"/"+name]; ok {
		return found, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: kind}, name)
}

func (p *paper) Apply(_ context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if strings.HasPrefix(object.GetName(), "forbidden") {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, object.GetName(), errors.New("no"))
	}
	p.applied = append(p.applied, object.DeepCopy())
	live := object.DeepCopy()
	live.SetGeneration(2)
	if status, ok := p.statuses[object.GetKind()+"/"+object.GetName()]; ok {
		live.Object["status"] = status
	}
	return live, nil
}

// Generate makes a next object always, named after generateName.
func (p *paper) Generate(ctx context.Context, next Generation) ([]*unstructured.Unstructured, error) {
	p.asked = append(p.asked, next)
	if next.Object.GetName() == "" {
		next.Object.SetName(next.Object.GetGenerateName() + "new")
	}
	made, err := p.Apply(ctx, next.Object)
	if err != nil {
		return nil, err
	}
	all := []*unstructured.Unstructured{made}
	for _, before := range p.generations[next.Siblings[v1alpha1.LabelResourceName]] {
		all = append(all, &unstructured.Unstructured{Object: before})
	}
	return all, nil
}

func (p *paper) Render(ctx context.Context, spec *v1alpha1.TemplateSpec, data map[string]any) (map[string]any, error) {
	return template.NewRenderer().Render(ctx, spec, data)
}

func (p *paper) Resource(kind schema.GroupVersionKind) (Resource, error) {
	name := strings.ToLower(kind.Kind) + "s"
	if kind.Group != "" {
		name += "." + kind.Group
	}
	return Resource{Name: name, Namespaced: true}, nil
}

// TestGolden runs each testdata/realize/*.txtar: workload.yaml and chain.yaml or deliverable.yaml and delivery.yaml,
// templates.yaml (documents), live.yaml (status by kind/name; the generation of all is 2), generations.yaml (what was
// made before for an immutable resource), hide-secrets (there or not), and what must come of it: summary, status.yaml, stamped.yaml, events, retry.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/realize/*.txtar")
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
			outcome := outcomeOf(t, given)
			if *update {
				for i := range archive.Files {
					if got, asked := outcome[archive.Files[i].Name]; asked {
						archive.Files[i].Data = []byte(strings.TrimSpace(got) + "\n")
					}
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for name, got := range outcome {
				if want, asked := given[name]; asked && strings.TrimSpace(want) != strings.TrimSpace(got) {
					t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)))
				}
			}
		})
	}
}

func outcomeOf(t *testing.T, given map[string]string) map[string]string {
	t.Helper()
	owner, blueprint := asked(t, given)
	_, owner.HideSecrets = given["hide-secrets"]
	cluster := &paper{templates: map[string]*Template{}}
	read(t, given["live.yaml"], &cluster.statuses)
	read(t, given["generations.yaml"], &cluster.generations)
	for _, document := range strings.Split(given["templates.yaml"], "\n---\n") {
		found := templateIn(t, document)
		cluster.templates[found.Kind+"/"+found.Name] = found
	}
	result := Realize(t.Context(), cluster, owner, blueprint, metav1.Unix(1000, 0))
	conditions := Conditions([]metav1.Condition{result.Submitted, result.Healthy}, nil, metav1.Unix(1000, 0))
	stamped, events := "", ""
	for _, object := range cluster.applied {
		stamped += asYAML(t, object.Object) + "---\n"
	}
	for _, event := range result.Events {
		events += event.Reason + ": " + event.Message + "\n"
	}
	return map[string]string{
		"summary":      summary(conditions, result.Resources),
		"status.yaml":  asYAML(t, map[string]any{"conditions": conditions, "resources": result.Resources}),
		"stamped.yaml": strings.TrimSuffix(stamped, "---\n"),
		"events":       events,
		"asked":        generations(t, cluster.asked),
		"retry":        fmt.Sprintf("retry: %v, forbidden: %t", result.Retry, result.Forbidden),
	}
}

// generations says which labels the objects have that were asked for as another of several, and how many are kept.
func generations(t *testing.T, asked []Generation) string {
	t.Helper()
	text := ""
	for _, next := range asked {
		text += asYAML(t, map[string]any{"siblings": next.Siblings, "retention": next.Retention}) + "---\n"
	}
	return strings.TrimSuffix(text, "---\n")
}

// summary says in a few words what the status says.
func summary(conditions []metav1.Condition, resources []v1alpha1.ResourceStatus) string {
	var text strings.Builder
	tell := func(conditions []metav1.Condition) {
		for _, c := range conditions {
			fmt.Fprintf(&text, "  %s=%s %s %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	for _, resource := range resources {
		text.WriteString(resource.Name)
		if resource.StampedRef != nil {
			text.WriteString(" " + resource.StampedRef.Resource + "/" + resource.StampedRef.Name)
		}
		text.WriteString("\n")
		for _, input := range resource.Inputs {
			text.WriteString("  < " + input.Name + "\n")
		}
		for _, output := range resource.Outputs {
			fmt.Fprintf(&text, "  > %s: %q\n", output.Name, output.Preview)
		}
		tell(resource.Conditions)
	}
	text.WriteString("all\n")
	tell(conditions)
	return text.String()
}

// asked returns the owner and the blueprint of a case: a workload and its chain or, where there is deliverable.yaml, a
// deliverable and its delivery.
func asked(t *testing.T, given map[string]string) (Owner, Blueprint) {
	t.Helper()
	if text, ok := given["deliverable.yaml"]; ok {
		var deliverable v1alpha1.Deliverable
		var delivery v1alpha1.ClusterDelivery
		read(t, text, &deliverable)
		read(t, given["delivery.yaml"], &delivery)
		return OfDeliverable(&deliverable), OfDelivery(&delivery)
	}
	var workload v1alpha1.Workload
	var chain v1alpha1.ClusterSupplyChain
	read(t, given["workload.yaml"], &workload)
	read(t, given["chain.yaml"], &chain)
	return OfWorkload(&workload), OfChain(&chain)
}

func templateIn(t *testing.T, document string) *Template {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
		t.Fatal(err)
	}
	object, ok := map[string]any{
		v1alpha1.KindClusterSourceTemplate: &v1alpha1.ClusterSourceTemplate{}, v1alpha1.KindClusterImageTemplate: &v1alpha1.ClusterImageTemplate{},
		v1alpha1.KindClusterConfigTemplate: &v1alpha1.ClusterConfigTemplate{}, v1alpha1.KindClusterTemplate: &v1alpha1.ClusterTemplate{},
		v1alpha1.KindClusterDeploymentTemplate: &v1alpha1.ClusterDeploymentTemplate{},
	}[meta.Kind]
	if !ok {
		t.Fatalf("%q is no kind of template", meta.Kind)
	}
	read(t, document, object)
	found, err := TemplateOf(object)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func asYAML(t *testing.T, value any) string {
	t.Helper()
	encoded, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
