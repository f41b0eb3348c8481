// Package admission holds the rules that supply chains, deliveries and templates must keep before they are stored, in
// Cartographer's words. It looks at one object at a time and asks nobody: webhook serves it to the API server, and
// lint to those who write chains. The controllers must not count on it, because an environment may have no webhooks.
package admission

import (
	"fmt"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Validate returns the first rule that object breaks, nil when it keeps all. object is a pointer to a kind of
// carto.run; kinds without rules (Workload, Deliverable, Runnable) are always fine, and so is anything else.
func Validate(object any) error {
	switch o := object.(type) {
	case *v1alpha1.ClusterSupplyChain:
		return named("clustersupplychain", o.Name, supplyChain(o))
	case *v1alpha1.ClusterDelivery:
		return named("clusterdelivery", o.Name, delivery(o))
	case *v1alpha1.ClusterSourceTemplate:
		return templateSpec(o.Spec.TemplateSpec)
	case *v1alpha1.ClusterImageTemplate:
		return templateSpec(o.Spec.TemplateSpec)
	case *v1alpha1.ClusterConfigTemplate:
		return templateSpec(o.Spec.TemplateSpec)
	case *v1alpha1.ClusterTemplate:
		return templateSpec(o.Spec)
	case *v1alpha1.ClusterDeploymentTemplate:
		return deploymentTemplate(o.Spec)
	case *v1alpha1.ClusterRunTemplate:
		return runTemplate(o.Spec)
	default:
		return nil
	}
}

// named puts the object's kind and name before what is wrong with it.
func named(kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("error validating %s [%s]: %w", kind, name, err)
}

// Warnings returns what is allowed and still most likely a mistake: Cartographer accepts it, and so do we, but the
// author should know. object is as for Validate.
func Warnings(object any) []string {
	switch o := object.(type) {
	case *v1alpha1.ClusterSupplyChain:
		var inputs []linkNames
		for _, resource := range o.Spec.Resources {
			inputs = append(inputs, linkNames{
				resource: resource.Name, params: resource.Params,
				families: []family{{"sources", resource.Sources}, {"images", resource.Images}, {"configs", resource.Configs}},
			})
		}
		return blueprintWarnings(o.Spec.Params, inputs)
	case *v1alpha1.ClusterDelivery:
		var inputs []linkNames
		for _, resource := range o.Spec.Resources {
			inputs = append(inputs, linkNames{
				resource: resource.Name, params: resource.Params,
				families: []family{{"sources", resource.Sources}, {"configs", resource.Configs}},
			})
		}
		return append(blueprintWarnings(o.Spec.Params, inputs), deliveryInputWarnings(o)...)
	default:
		return nil
	}
}
