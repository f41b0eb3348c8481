package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OwnerParam is a parameter that a workload or deliverable sets for the templates of its supply chain or delivery.
type OwnerParam struct {
	// name is the parameter's name. Where a name occurs twice, the last one counts.
	Name string `json:"name"`
	// value is any JSON value; null counts as a value.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	Value apiextensionsv1.JSON `json:"value"`
}

// BlueprintParam is a parameter that a supply chain or delivery, or one of its resources, sets for templates.
type BlueprintParam struct {
	// name is the parameter's name. Where a name occurs twice, the last one counts.
	Name string `json:"name"`
	// value fixes the parameter: a workload cannot change it. Set either value or default.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	Value *apiextensionsv1.JSON `json:"value,omitempty"`
	// default is what the parameter is when the workload says nothing. Set either value or default.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	DefaultValue *apiextensionsv1.JSON `json:"default,omitempty"`
}

// FieldSelectorOperator says how a field is compared.
//
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
type FieldSelectorOperator string

// Operators of field requirements.
const (
	FieldIn           FieldSelectorOperator = "In"
	FieldNotIn        FieldSelectorOperator = "NotIn"
	FieldExists       FieldSelectorOperator = "Exists"
	FieldDoesNotExist FieldSelectorOperator = "DoesNotExist"
)

// FieldSelectorRequirement asks something of one field of an object.
type FieldSelectorRequirement struct {
	// key is the JSONPath of the field, for example spec.source.git.url or
	// spec.params[?(@.name=="scan")].value.
	// +kubebuilder:validation:MinLength=1
	Key string `json:"key"`
	// operator compares the field: In and NotIn with values (strings), Exists and DoesNotExist without.
	Operator FieldSelectorOperator `json:"operator"`
	// values are what In and NotIn compare with.
	// +optional
	Values []string `json:"values,omitempty"`
}

// OwnerStatus is what the choreographer publishes about a workload or deliverable.
type OwnerStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions say how far the workload is. The last one, Ready, sums up the others; while it is not True its
	// message says what is awaited or wrong.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// resources has an entry for each resource of the supply chain, in the chain's order.
	// +optional
	Resources []ResourceStatus `json:"resources,omitempty"`
}

// ResourceStatus is one resource of the supply chain or delivery, as realised for this workload or deliverable.
type ResourceStatus struct {
	// name is the resource's name in the supply chain.
	Name string `json:"name"`
	// stampedRef names the object that was stamped.
	// +optional
	StampedRef *StampedRef `json:"stampedRef,omitempty"`
	// templateRef names the template that was used; with options, the one that matched.
	// +optional
	TemplateRef *ResourceTemplateRef `json:"templateRef,omitempty"`
	// serviceAccountRef names the service account as which the object was stamped, where the controller may not watch
	// its kind: who may read and delete the object is then asked as that account.
	// +optional
	ServiceAccountRef *ServiceAccountRef `json:"serviceAccountRef,omitempty"`
	// inputs are the resources whose outputs this one takes.
	// +optional
	Inputs []Input `json:"inputs,omitempty"`
	// outputs are the values that were read from the stamped object.
	// +optional
	Outputs []Output `json:"outputs,omitempty"`
	// conditions are ResourceSubmitted, Healthy and Ready.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// StampedRef names a stamped object.
type StampedRef struct {
	// apiVersion of the object.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// kind of the object.
	// +optional
	Kind string `json:"kind,omitempty"`
	// namespace of the object; empty for kinds without one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	// +optional
	Name string `json:"name,omitempty"`
	// resource is the kind as kubectl wants it: plural.group, or the plural alone for core kinds.
	// +optional
	Resource string `json:"resource,omitempty"`
}

// ResourceTemplateRef names a template.
type ResourceTemplateRef struct {
	// apiVersion of the template.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// kind of the template.
	// +optional
	Kind string `json:"kind,omitempty"`
	// name of the template.
	// +optional
	Name string `json:"name,omitempty"`
}

// Input names a resource whose output is taken.
type Input struct {
	// name of the resource that produces the input.
	Name string `json:"name"`
}

// Output is a value that was read from a stamped object.
type Output struct {
	// name of the output: url, revision, image or config.
	Name string `json:"name"`
	// preview is the beginning of the value, as YAML, up to 1024 bytes.
	// +optional
	Preview string `json:"preview,omitempty"`
	// digest is the sha256 of the whole value, as YAML.
	// +optional
	Digest string `json:"digest,omitempty"`
	// lastTransitionTime is when the value last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}
