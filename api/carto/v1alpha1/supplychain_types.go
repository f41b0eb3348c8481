package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterSupplyChain is the way from a workload to what runs: resources, each stamped from a template, whose outputs
// feed those that need them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=clustersupplychains,singular=clustersupplychain,shortName=csc
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterSupplyChain struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says which workloads the chain is for and what it is made of.
	Spec SupplyChainSpec `json:"spec"`
	// status says whether the chain can be used.
	// +optional
	Status SupplyChainStatus `json:"status,omitempty"`
}

// SupplyChainSpec says which workloads a chain is for and what it is made of.
type SupplyChainSpec struct {
	LegacySelector `json:",inline"`

	// resources are the links of the chain. One that takes the output of another is realised after it, wherever
	// it stands in the list.
	Resources []SupplyChainResource `json:"resources"`
	// params are values for all templates of the chain.
	// +optional
	Params []BlueprintParam `json:"params,omitempty"`
	// serviceAccountRef is the service account with which objects are made for workloads that name none.
	// +optional
	ServiceAccountRef ServiceAccountRef `json:"serviceAccountRef,omitempty"`
}

// LegacySelector chooses workloads. All that is given must hold; of several chains that fit, the one that asks the
// most wins.
type LegacySelector struct {
	// selector are labels that the workload must have.
	// +optional
	Selector map[string]string `json:"selector,omitempty"`
	// selectorMatchExpressions are requirements on the workload's labels.
	// +optional
	SelectorMatchExpressions []metav1.LabelSelectorRequirement `json:"selectorMatchExpressions,omitempty"`
	// selectorMatchFields are requirements on the workload's fields.
	// +optional
	SelectorMatchFields []FieldSelectorRequirement `json:"selectorMatchFields,omitempty"`
}

// SupplyChainResource is one link of the chain.
type SupplyChainResource struct {
	// name of the resource, unique in the chain.
	Name string `json:"name"`
	// templateRef is the template to stamp.
	TemplateRef SupplyChainTemplateReference `json:"templateRef"`
	// params are values for this template; they go before those of the chain.
	// +optional
	Params []BlueprintParam `json:"params,omitempty"`
	// sources are the source outputs that the template takes.
	// +optional
	Sources []ResourceReference `json:"sources,omitempty"`
	// images are the image outputs that the template takes.
	// +optional
	Images []ResourceReference `json:"images,omitempty"`
	// configs are the config outputs that the template takes.
	// +optional
	Configs []ResourceReference `json:"configs,omitempty"`
}

// ResourceReference is an input: the output of another resource under a name of its own.
type ResourceReference struct {
	// name under which the template knows the input.
	Name string `json:"name"`
	// resource of this chain that produces it.
	Resource string `json:"resource"`
}

// SupplyChainTemplateReference names a template, or several of which one is chosen for each workload.
type SupplyChainTemplateReference struct {
	// kind of the template.
	// +kubebuilder:validation:Enum=ClusterSourceTemplate;ClusterImageTemplate;ClusterTemplate;ClusterConfigTemplate
	Kind string `json:"kind"`
	// name of the template. Set either name or options.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// options are templates of which exactly one must fit the workload. Set either name or options.
	// +optional
	// +kubebuilder:validation:MinItems=2
	Options []TemplateOption `json:"options,omitempty"`
}

// TemplateOption is one of several templates for a resource.
type TemplateOption struct {
	// name of the template. Set either name or passThrough.
	// +optional
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// passThrough names an input of the resource that becomes its output; nothing is stamped. Set either name or
	// passThrough.
	// +optional
	PassThrough string `json:"passThrough,omitempty"`
	// selector says for which workloads this option is.
	Selector Selector `json:"selector"`
}

// Selector chooses workloads by labels and fields. All that is given must hold.
type Selector struct {
	metav1.LabelSelector `json:",inline"`
	// matchFields are requirements on the workload's fields.
	// +optional
	MatchFields []FieldSelectorRequirement `json:"matchFields,omitempty"`
}

// ServiceAccountRef names a service account.
type ServiceAccountRef struct {
	// name of the service account.
	Name string `json:"name"`
	// namespace of the service account; without it, the workload's.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// SupplyChainStatus says whether a chain can be used.
type SupplyChainStatus struct {
	// conditions are TemplatesReady and Ready. While Ready is not True its message names what is missing.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ClusterSupplyChainList is a list of ClusterSupplyChains.
//
// +kubebuilder:object:root=true
type ClusterSupplyChainList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterSupplyChain `json:"items"`
}
