package admission

import (
	"fmt"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

func delivery(d *v1alpha1.ClusterDelivery) error {
	links := make([]link, 0, len(d.Spec.Resources))
	for _, resource := range d.Spec.Resources {
		links = append(links, link{
			name: resource.Name, kind: resource.TemplateRef.Kind, ref: resource.TemplateRef.Name, options: resource.TemplateRef.Options,
			params: resource.Params,
			passable: map[string][]v1alpha1.ResourceReference{
				v1alpha1.KindClusterSourceTemplate: resource.Sources,
				v1alpha1.KindClusterConfigTemplate: resource.Configs,
			},
		})
	}
	if err := head(d.Spec.LegacySelector, d.Spec.Params, links, deliverableKeys); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, l := range links {
		if seen[l.name] {
			return fmt.Errorf("spec.resources[%d].name %q cannot appear twice", i, l.name)
		}
		seen[l.name] = true
	}
	if err := uniqueOptions(links); err != nil {
		return err
	}
	if err := templateRefs(links, deliverableKeys); err != nil {
		return err
	}
	takes := map[string][]string{}
	for _, resource := range d.Spec.Resources {
		if err := deployments(resource); err != nil {
			return err
		}
		takes[resource.Name] = producers(resource)
	}
	return noCircle(links, takes)
}

// deployments checks that what deploys, and nothing else, is given something to deploy.
func deployments(resource v1alpha1.DeliveryResource) error {
	deploys := resource.TemplateRef.Kind == v1alpha1.KindClusterDeploymentTemplate
	switch {
	case deploys && resource.Deployment == nil:
		return fmt.Errorf("spec.resources[%s] is a ClusterDeploymentTemplate and must receive a deployment", resource.Name)
	case !deploys && resource.Deployment != nil:
		return fmt.Errorf("spec.resources[%s] receives a deployment but is not a ClusterDeploymentTemplate", resource.Name)
	case deploys && len(resource.Configs) > 0:
		return fmt.Errorf("spec.resources[%s] is a ClusterDeploymentTemplate and must not receive config", resource.Name)
	}
	return nil
}

// producers are the resources that this one takes outputs of.
func producers(resource v1alpha1.DeliveryResource) []string {
	var names []string
	for _, reference := range resource.Sources {
		names = append(names, reference.Resource)
	}
	if resource.Deployment != nil {
		names = append(names, resource.Deployment.Resource)
	}
	for _, reference := range resource.Configs {
		names = append(names, reference.Resource)
	}
	return names
}
