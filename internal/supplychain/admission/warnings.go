package admission

import (
	"fmt"
	"slices"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// family is one list of a resource's inputs.
type family struct {
	name       string
	references []v1alpha1.ResourceReference
}

// linkNames are the names that a resource gives to its params and inputs.
type linkNames struct {
	resource string
	params   []v1alpha1.BlueprintParam
	families []family
}

// blueprintWarnings tells of names that occur twice: the last one counts, the others are silently lost.
func blueprintWarnings(params []v1alpha1.BlueprintParam, resources []linkNames) []string {
	var warnings []string
	for _, name := range repeated(params, paramName) {
		warnings = append(warnings, fmt.Sprintf("param [%s] occurs more than once: only the last one counts", name))
	}
	for _, resource := range resources {
		for _, name := range repeated(resource.params, paramName) {
			warnings = append(warnings, fmt.Sprintf("param [%s] of resource [%s] occurs more than once: only the last one counts", name, resource.resource))
		}
		for _, family := range resource.families {
			for _, name := range repeated(family.references, func(r v1alpha1.ResourceReference) string { return r.Name }) {
				warnings = append(warnings, fmt.Sprintf("the name [%s] occurs more than once in the %s of resource [%s]: only the last one counts", name, family.name, resource.resource))
			}
		}
	}
	return warnings
}

func paramName(param v1alpha1.BlueprintParam) string { return param.Name }

// repeated returns the names that occur more than once, each once.
func repeated[T any](list []T, name func(T) string) []string {
	count := map[string]int{}
	var found []string
	for _, item := range list {
		count[name(item)]++
		if count[name(item)] == 2 {
			found = append(found, name(item))
		}
	}
	return found
}

// deliveryInputWarnings tells of inputs that no resource of the delivery provides. In a supply chain that is an
// error; Cartographer takes such deliveries, so here it is only said.
func deliveryInputWarnings(d *v1alpha1.ClusterDelivery) []string {
	kinds := make(map[string]string, len(d.Spec.Resources))
	for _, resource := range d.Spec.Resources {
		kinds[resource.Name] = resource.TemplateRef.Kind
	}
	// A deployment hands on the source that it has deployed, so it provides one too.
	sources := []string{v1alpha1.KindClusterSourceTemplate, v1alpha1.KindClusterDeploymentTemplate}
	configs := []string{v1alpha1.KindClusterConfigTemplate}
	var warnings []string
	check := func(resource, what, from string, wanted []string) {
		switch kind, exists := kinds[from]; {
		case !exists:
			warnings = append(warnings, fmt.Sprintf("%s of resource [%s] is provided by unknown resource [%s]", what, resource, from))
		case !slices.Contains(wanted, kind):
			warnings = append(warnings, fmt.Sprintf("%s of resource [%s] is provided by resource [%s], whose kind %s has no such output", what, resource, from, kind))
		}
	}
	for _, resource := range d.Spec.Resources {
		for _, reference := range resource.Sources {
			check(resource.Name, "source ["+reference.Name+"]", reference.Resource, sources)
		}
		if resource.Deployment != nil {
			check(resource.Name, "the deployment", resource.Deployment.Resource, sources)
		}
		for _, reference := range resource.Configs {
			check(resource.Name, "config ["+reference.Name+"]", reference.Resource, configs)
		}
	}
	return warnings
}
