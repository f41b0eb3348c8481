package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// objects are the templates among the sources, by Kind/name, with those who use them.
type objects struct {
	templates map[string]*templateUse
	chains    []*chain
}

func (o *objects) add(d *document) {
	if used := templateOf(d.object); used != nil {
		o.templates[used.kind+"/"+used.name] = used
	}
	if chain := chainOf(d.object); chain != nil {
		o.chains = append(o.chains, chain)
	}
}

// isUsed says whether a chain among the sources names a template.
func (o *objects) isUsed(t *templateUse) bool {
	for _, chain := range o.chains {
		for _, link := range chain.links {
			if link.kind == t.kind && slices.Contains(link.templates, t.name) {
				return true
			}
		}
	}
	return false
}

// templateUse is what a template of any kind makes use of.
type templateUse struct {
	kind, name string
	spec       *v1alpha1.TemplateSpec // nil for a ClusterRunTemplate
	// object is what template holds; nil for ytt.
	object map[string]any
	// expressions are the paths in $(...)$.
	expressions []expression
	// open are the strings with a $( that has no end.
	open []expression
	// outputs are the paths that are read from stamped objects, by the field that holds them.
	outputs map[string]string
}

// expression is a path and where in the template it stands.
type expression struct{ path, at string }

// templateOf returns the template that object is, or nil.
func templateOf(object runtime.Object) *templateUse {
	t := &templateUse{kind: object.GetObjectKind().GroupVersionKind().Kind, outputs: map[string]string{}}
	var plain []byte
	switch o := object.(type) {
	case *v1alpha1.ClusterSourceTemplate:
		t.name, t.spec = o.Name, &o.Spec.TemplateSpec
		t.outputs["spec.urlPath"], t.outputs["spec.revisionPath"] = o.Spec.URLPath, o.Spec.RevisionPath
	case *v1alpha1.ClusterImageTemplate:
		t.name, t.spec = o.Name, &o.Spec.TemplateSpec
		t.outputs["spec.imagePath"] = o.Spec.ImagePath
	case *v1alpha1.ClusterConfigTemplate:
		t.name, t.spec = o.Name, &o.Spec.TemplateSpec
		t.outputs["spec.configPath"] = o.Spec.ConfigPath
	case *v1alpha1.ClusterDeploymentTemplate:
		t.name, t.spec = o.Name, &o.Spec.TemplateSpec
		for i, match := range o.Spec.ObservedMatches {
			t.outputs[fmt.Sprintf("spec.observedMatches[%d].input", i)] = match.Input
			t.outputs[fmt.Sprintf("spec.observedMatches[%d].output", i)] = match.Output
		}
		if completion := o.Spec.ObservedCompletion; completion != nil {
			t.outputs["spec.observedCompletion.succeeded.key"] = completion.Succeeded.Key
			if completion.Failed != nil {
				t.outputs["spec.observedCompletion.failed.key"] = completion.Failed.Key
			}
		}
	case *v1alpha1.ClusterTemplate:
		t.name, t.spec = o.Name, &o.Spec
	case *v1alpha1.ClusterRunTemplate:
		t.name, plain = o.Name, o.Spec.Template.Raw
		for name, path := range o.Spec.Outputs {
			t.outputs["spec.outputs."+name] = path
		}
	default:
		return nil
	}
	if t.spec != nil {
		t.addHealth(t.spec.HealthRule)
		if t.spec.Template != nil {
			plain = t.spec.Template.Raw
		}
	}
	var content any
	if err := json.Unmarshal(plain, &content); err == nil { // else the API server's rules say so
		t.addExpressions(content, "spec.template")
		t.object, _ = content.(map[string]any)
	}
	return t
}

func (t *templateUse) addHealth(rule *v1alpha1.HealthRule) {
	if rule == nil || rule.MultiMatch == nil {
		return
	}
	for side, of := range map[string]v1alpha1.HealthMatchRule{"healthy": rule.MultiMatch.Healthy, "unhealthy": rule.MultiMatch.Unhealthy} {
		for i, field := range of.MatchFields {
			at := fmt.Sprintf("spec.healthRule.multiMatch.%s.matchFields[%d]", side, i)
			t.outputs[at+".key"] = field.Key
			if field.MessagePath != "" {
				t.outputs[at+".messagePath"] = field.MessagePath
			}
		}
	}
}

// addExpressions walks a template in the order of its keys.
func (t *templateUse) addExpressions(value any, at string) {
	switch value := value.(type) {
	case string:
		paths, open := template.Expressions(value)
		for _, path := range paths {
			t.expressions = append(t.expressions, expression{path, at})
		}
		if open {
			t.open = append(t.open, expression{value, at})
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			t.addExpressions(value[key], at+"."+key)
		}
	case []any:
		for i := range value {
			t.addExpressions(value[i], fmt.Sprintf("%s[%d]", at, i))
		}
	}
}

// chain is a supply chain or a delivery.
type chain struct {
	owner  any // a typed owner, whose fields selectors look at
	kind   string
	params []v1alpha1.BlueprintParam
	fields []v1alpha1.FieldSelectorRequirement
	links  []link
}

// link is a resource of a chain.
type link struct {
	name, kind               string
	templates                []string
	params                   []v1alpha1.BlueprintParam
	sources, images, configs []v1alpha1.ResourceReference
	deployment               *v1alpha1.DeploymentReference
	fields                   []v1alpha1.FieldSelectorRequirement
}

// chainOf returns the chain that object is, or nil.
func chainOf(object runtime.Object) *chain {
	switch o := object.(type) {
	case *v1alpha1.ClusterSupplyChain:
		c := &chain{owner: v1alpha1.Workload{}, kind: v1alpha1.KindWorkload, params: o.Spec.Params, fields: o.Spec.SelectorMatchFields}
		for _, r := range o.Spec.Resources {
			l := link{name: r.Name, kind: r.TemplateRef.Kind, params: r.Params, sources: r.Sources, images: r.Images, configs: r.Configs}
			l.addTemplates(r.TemplateRef.Name, r.TemplateRef.Options)
			c.links = append(c.links, l)
		}
		return c
	case *v1alpha1.ClusterDelivery:
		c := &chain{owner: v1alpha1.Deliverable{}, kind: v1alpha1.KindDeliverable, params: o.Spec.Params, fields: o.Spec.SelectorMatchFields}
		for _, r := range o.Spec.Resources {
			l := link{name: r.Name, kind: r.TemplateRef.Kind, params: r.Params, sources: r.Sources, configs: r.Configs, deployment: r.Deployment}
			l.addTemplates(r.TemplateRef.Name, r.TemplateRef.Options)
			c.links = append(c.links, l)
		}
		return c
	default:
		return nil
	}
}

func (l *link) addTemplates(name string, options []v1alpha1.TemplateOption) {
	if name != "" {
		l.templates = append(l.templates, name)
	}
	for _, option := range options {
		if option.Name != "" {
			l.templates = append(l.templates, option.Name)
		}
		l.fields = append(l.fields, option.Selector.MatchFields...)
	}
}
