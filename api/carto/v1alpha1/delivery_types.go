package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterDelivery is the way from a deliverable to a cluster: resources, each stamped from a template, whose outputs
// feed those that need them, and deployments that let the next one begin once they have succeeded.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=clusterdeliveries,singular=clusterdelivery,shortName=cd
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterDelivery struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says which deliverables the delivery is for and what it is made of.
	Spec DeliverySpec `json:"spec"`
	// status says whether the delivery can be used.
	// +optional
	Status DeliveryStatus `json:"status,omitempty"`
}

// DeliverySpec says which deliverables a delivery is for and what it is made of.
type DeliverySpec struct {
	LegacySelector `json:",inline"`

	// resources are the links of the delivery. One that takes the output of another is realised after it, wherever
	// it stands in the list.
	Resources []DeliveryResource `json:"resources"`
	// params are values for all templates of the delivery.
	// +optional
	Params []BlueprintParam `json:"params,omitempty"`
	// serviceAccountRef is the service account with which objects are made for deliverables that name none.
	// +optional
	ServiceAccountRef ServiceAccountRef `json:"serviceAccountRef,omitempty"`
}

// DeliveryResource is one link of a delivery.
type DeliveryResource struct {
	// name of the resource, unique in the delivery.
	Name string `json:"name"`
	// templateRef is the template to stamp.
	TemplateRef DeliveryTemplateReference `json:"templateRef"`
	// params are values for this template; they go before those of the delivery.
	// +optional
	Params []BlueprintParam `json:"params,omitempty"`
	// sources are the source outputs that the template takes.
	// +optional
	Sources []ResourceReference `json:"sources,omitempty"`
	// deployment is the source that a ClusterDeploymentTemplate deploys, and hands on when the deployment has
	// succeeded.
	// +optional
	Deployment *DeploymentReference `json:"deployment,omitempty"`
	// configs are the config outputs that the template takes.
	// +optional
	Configs []ResourceReference `json:"configs,omitempty"`
}

// DeploymentReference names the resource whose source output is deployed.
type DeploymentReference struct {
	// resource of this delivery that produces the source or has deployed it already.
	Resource string `json:"resource"`
}

// DeliveryTemplateReference names a template, or several of which one is chosen for each deliverable.
type DeliveryTemplateReference struct {
	// kind of the template.
	// +kubebuilder:validation:Enum=ClusterSourceTemplate;ClusterDeploymentTemplate;ClusterTemplate;ClusterConfigTemplate
	Kind string `json:"kind"`
	// name of the template. Set either name or options.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// options are templates of which exactly one must fit the deliverable. Set either name or options.
	// +optional
	// +kubebuilder:validation:MinItems=2
	Options []TemplateOption `json:"options,omitempty"`
}

// DeliveryStatus says whether a delivery can be used.
type DeliveryStatus struct {
	// conditions are TemplatesReady and Ready. While Ready is not True its message names what is missing.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ClusterDeliveryList is a list of ClusterDeliveries.
//
// +kubebuilder:object:root=true
type ClusterDeliveryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterDelivery `json:"items"`
}
