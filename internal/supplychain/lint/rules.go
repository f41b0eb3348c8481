package lint

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// checkTemplate looks at what can be known of a template by itself.
func (d *document) checkTemplate(t *templateUse, known *objects) {
	names := stampNames
	if t.kind == v1alpha1.KindClusterRunTemplate {
		names = runNames
	}
	owners := ownersOf(t.kind)
	for _, e := range t.expressions {
		if err := checkExpression(e.path, names, owners); err != nil {
			d.fail("%s: $(%s)$: %v", e.at, e.path, err)
		}
	}
	d.checkObject(t)
	for _, e := range t.open {
		d.warn("%s: there is a $( without its end )$ in %q: it stays as it is", e.at, e.path)
	}
	for _, field := range slices.Sorted(maps.Keys(t.outputs)) {
		if err := template.CheckPath(t.outputs[field]); err != nil {
			d.fail("%s: %v", field, err)
		}
	}
	if t.spec == nil {
		return
	}
	if t.spec.Ytt != "" {
		if err := template.CheckYtt(t.spec.Ytt); err != nil {
			d.fail("spec.ytt: %s", strings.TrimSpace(err.Error()))
		}
	}
	if known.isUsed(t) {
		return // then it is known what the chain sets
	}
	for _, name := range undeclared(t) {
		d.warn("param [%s] has no default here: the template fails unless the supply chain or the owner sets it", name)
	}
}

// checkObject looks at what the object must have to be stamped.
func (d *document) checkObject(t *templateUse) {
	if t.object == nil {
		return // rendered by ytt, or refused before
	}
	if version, _, _ := unstructured.NestedString(t.object, "apiVersion"); version == "" {
		d.fail("spec.template: it sets no apiVersion")
	}
	name, _, nameErr := unstructured.NestedString(t.object, "metadata", "name")
	generateName, _, err := unstructured.NestedString(t.object, "metadata", "generateName")
	if err := errors.Join(nameErr, err); err != nil {
		d.fail("spec.template: %v", err) // such as name: y, which is YAML for true
		return
	}
	mutable := t.spec != nil && (t.spec.Lifecycle == "" || t.spec.Lifecycle == v1alpha1.LifecycleMutable)
	switch {
	case name == "" && mutable:
		d.fail("spec.template: it sets no metadata.name")
	case name == "" && generateName == "":
		d.fail("spec.template: it sets no metadata.generateName")
	case name != "" && !mutable:
		d.warn("spec.template: with metadata.name there can be no second object beside the first: use metadata.generateName")
	}
}

// undeclared are the params that a template reads and gives no default.
func undeclared(t *templateUse) []string {
	var names []string
	for _, e := range t.expressions {
		fields, _ := template.LeadingFields(e.path)
		if len(fields) < 2 || fields[0] != "params" || slices.Contains(names, fields[1]) {
			continue
		}
		if !slices.ContainsFunc(t.spec.Params, func(p v1alpha1.TemplateParam) bool { return p.Name == fields[1] }) {
			names = append(names, fields[1])
		}
	}
	return names
}

// checkChain looks at the resources of a chain, together and each with its templates.
func (d *document) checkChain(c *chain, known *objects) {
	fields := slices.Clone(c.fields)
	for _, link := range c.links {
		fields = append(fields, link.fields...)
	}
	for _, requirement := range fields {
		if err := template.CheckPath(requirement.Key); err != nil {
			d.fail("matchFields key [%s]: %v", requirement.Key, err)
			continue
		}
		leading, _ := template.LeadingFields(requirement.Key)
		if err := existsInAny([]any{c.owner}, leading); err != nil {
			d.fail("matchFields key [%s]: %v", requirement.Key, err)
		}
	}
	for i := range c.links {
		for _, name := range c.links[i].templates {
			if t := known.templates[c.links[i].kind+"/"+name]; t != nil && t.spec != nil {
				d.checkLink(c, &c.links[i], t)
			}
		}
	}
}

// checkLink looks at whether a resource gives a template what it reads.
func (d *document) checkLink(c *chain, l *link, t *templateUse) {
	missing := func(e expression, format string, arguments ...any) {
		d.fail("resource [%s]: template [%s/%s] reads $(%s)$, "+format, append([]any{l.name, t.kind, t.name, e.path}, arguments...)...)
	}
	families := map[string][]v1alpha1.ResourceReference{"source": l.sources, "image": l.images, "config": l.configs}
	owners := map[string][]any{"workload": {c.owner}, "deliverable": {c.owner}}
	for _, e := range t.expressions {
		fields, _ := template.LeadingFields(e.path)
		if len(fields) == 0 {
			continue
		}
		if owner := owners[fields[0]]; owner != nil {
			if err := existsInAny(owner, fields[1:]); err != nil {
				missing(e, "but its owner is a %s: %v", c.kind, err)
			}
			continue
		}
		if declared, found := families[fields[0]]; found && len(declared) != 1 {
			missing(e, "which is there only with exactly one %s, and it has %d", fields[0], len(declared))
		}
		family := strings.TrimSuffix(fields[0], "s")
		if declared, found := families[family]; found && family != fields[0] && len(fields) > 1 && !named(declared, fields[1]) {
			missing(e, "but it has no %s of the name [%s]%s", family, fields[1], others(declared))
		}
		if fields[0] == "deployment" && len(fields) > 1 && l.deployment == nil {
			missing(e, "but it receives no deployment")
		}
	}
	for _, name := range undeclared(t) {
		set := func(p v1alpha1.BlueprintParam) bool { return p.Name == name }
		if !slices.ContainsFunc(c.params, set) && !slices.ContainsFunc(l.params, set) {
			d.warn("resource [%s]: param [%s] of template [%s/%s] has no default, and neither the resource nor the chain sets it: each %s must", l.name, name, t.kind, t.name, strings.ToLower(c.kind))
		}
	}
}

func named(references []v1alpha1.ResourceReference, name string) bool {
	return slices.ContainsFunc(references, func(r v1alpha1.ResourceReference) bool { return r.Name == name })
}

// others lists the names that there are instead.
func others(references []v1alpha1.ResourceReference) string {
	if len(references) == 0 {
		return ""
	}
	var names []string
	for _, reference := range references {
		names = append(names, reference.Name)
	}
	return ", only " + strings.Join(names, ", ")
}
