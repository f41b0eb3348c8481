package realize

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Owner is what objects are stamped for: a workload or a deliverable.
type Owner struct {
	// Kind is the owner's kind.
	Kind string
	// Object is the owner as templates and options see it. It must carry its apiVersion and kind.
	Object metav1.Object
	// Params are those that the owner sets.
	Params []v1alpha1.OwnerParam
	// Resources is what was published of it before.
	Resources []v1alpha1.ResourceStatus
	// HideSecrets leaves the values of Secrets out of the previews of outputs.
	HideSecrets bool
}

// OfWorkload returns a workload as an owner.
func OfWorkload(workload *v1alpha1.Workload) Owner {
	return Owner{Kind: v1alpha1.KindWorkload, Object: workload, Params: workload.Spec.Params, Resources: workload.Status.Resources}
}

// OfDeliverable returns a deliverable as an owner.
func OfDeliverable(deliverable *v1alpha1.Deliverable) Owner {
	return Owner{Kind: v1alpha1.KindDeliverable, Object: deliverable, Params: deliverable.Spec.Params, Resources: deliverable.Status.Resources}
}

// Blueprint is what an owner is realised by: a supply chain or a delivery.
type Blueprint struct {
	// Kind is the blueprint's kind.
	Kind      string
	Name      string
	Params    []v1alpha1.BlueprintParam
	Resources []Link
}

// Link is a resource of a blueprint: one of a supply chain and, in a delivery, what it deploys.
type Link struct {
	v1alpha1.SupplyChainResource

	// Deployment is the source to deploy; nil where there is none.
	Deployment *v1alpha1.DeploymentReference
}

// OfChain returns a supply chain as a blueprint.
func OfChain(chain *v1alpha1.ClusterSupplyChain) Blueprint {
	links := make([]Link, len(chain.Spec.Resources))
	for i := range links {
		links[i].SupplyChainResource = chain.Spec.Resources[i]
	}
	return Blueprint{Kind: v1alpha1.KindClusterSupplyChain, Name: chain.Name, Params: chain.Spec.Params, Resources: links}
}

// OfDelivery returns a delivery as a blueprint.
func OfDelivery(delivery *v1alpha1.ClusterDelivery) Blueprint {
	links := make([]Link, len(delivery.Spec.Resources))
	for i, resource := range delivery.Spec.Resources {
		links[i] = Link{Deployment: resource.Deployment, SupplyChainResource: v1alpha1.SupplyChainResource{
			Name: resource.Name, TemplateRef: v1alpha1.SupplyChainTemplateReference(resource.TemplateRef),
			Params: resource.Params, Sources: resource.Sources, Configs: resource.Configs,
		}}
	}
	return Blueprint{Kind: v1alpha1.KindClusterDelivery, Name: delivery.Name, Params: delivery.Spec.Params, Resources: links}
}

// labels says who stamps an object, in full.
func (r *run) labels(resource Link, from *Template) map[string]string {
	names := map[string]string{
		v1alpha1.LabelResourceName:      resource.Name,
		v1alpha1.LabelTemplateKind:      from.Kind,
		v1alpha1.LabelTemplateName:      from.Name,
		v1alpha1.LabelTemplateLifecycle: from.lifecycle(),
	}
	name, namespace, blueprint := v1alpha1.LabelWorkloadName, v1alpha1.LabelWorkloadNamespace, v1alpha1.LabelSupplyChainName
	if r.owner.Kind == v1alpha1.KindDeliverable {
		name, namespace, blueprint = v1alpha1.LabelDeliverableName, v1alpha1.LabelDeliverableNamespace, v1alpha1.LabelDeliveryName
	}
	names[name], names[namespace], names[blueprint] = r.owner.Object.GetName(), r.owner.Object.GetNamespace(), r.blueprint.Name
	return names
}

// siblingLabels are those of names that all have in common that was stamped for a resource from a template, whatever
// the blueprint was called then; as the labels hold them.
func siblingLabels(names map[string]string) map[string]string {
	common := map[string]string{}
	for key, name := range names {
		if key != v1alpha1.LabelSupplyChainName && key != v1alpha1.LabelDeliveryName {
			common[key] = LabelValue(name)
		}
	}
	return common
}
