package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TemplateSpec is what all templates have in common.
type TemplateSpec struct {
	// template is the object to stamp. Strings in it may hold $(...)$ with a path such as workload.metadata.name,
	// params.port or images.image.image. Set either template or ytt.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	Template *runtime.RawExtension `json:"template,omitempty"`
	// ytt is a ytt template that renders the object to stamp. Set either template or ytt.
	// +optional
	Ytt string `json:"ytt,omitempty"`
	// params are the parameters that the template uses, with what they are when nobody sets them.
	// +optional
	Params []TemplateParam `json:"params,omitempty"`
	// healthRule says when the stamped object is healthy. Without it, it is once its outputs can be read.
	// +optional
	HealthRule *HealthRule `json:"healthRule,omitempty"`
	// lifecycle says what happens when the rendered object changes: mutable changes the stamped object;
	// immutable stamps a new one beside it, and takes the outputs of the newest healthy one; tekton is immutable
	// with health taken from the condition Succeeded, unless a healthRule says otherwise.
	// +optional
	// +kubebuilder:validation:Enum=mutable;immutable;tekton
	// +kubebuilder:default=mutable
	Lifecycle string `json:"lifecycle,omitempty"`
	// retentionPolicy says how many old objects of an immutable or tekton template are kept; without it, ten that
	// are healthy and ten that are not.
	// +optional
	RetentionPolicy *RetentionPolicy `json:"retentionPolicy,omitempty"`
}

// TemplateParam is a parameter of a template.
type TemplateParam struct {
	// name of the parameter.
	Name string `json:"name"`
	// default is what the parameter is when nobody sets it; any JSON value.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	DefaultValue apiextensionsv1.JSON `json:"default"`
}

// HealthRule says when a stamped object is healthy. Set exactly one of its fields.
type HealthRule struct {
	// alwaysHealthy, set to {}, calls the object healthy as soon as it is stamped.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	AlwaysHealthy *runtime.RawExtension `json:"alwaysHealthy,omitempty"`
	// singleConditionType is the type of the condition in the object's status whose status is its health.
	// +optional
	SingleConditionType string `json:"singleConditionType,omitempty"`
	// multiMatch looks at several conditions and fields.
	// +optional
	MultiMatch *MultiMatchHealthRule `json:"multiMatch,omitempty"`
}

// MultiMatchHealthRule calls an object unhealthy when anything of unhealthy holds, healthy when all of healthy
// holds, and else says that it does not know.
type MultiMatchHealthRule struct {
	// healthy must hold as a whole.
	Healthy HealthMatchRule `json:"healthy"`
	// unhealthy needs only one part to hold.
	Unhealthy HealthMatchRule `json:"unhealthy"`
}

// HealthMatchRule is a set of requirements on an object's conditions and fields.
type HealthMatchRule struct {
	// matchConditions are requirements on the conditions in the object's status.
	// +optional
	MatchConditions []ConditionRequirement `json:"matchConditions,omitempty"`
	// matchFields are requirements on the object's fields.
	// +optional
	MatchFields []HealthMatchFieldSelectorRequirement `json:"matchFields,omitempty"`
}

// ConditionRequirement asks for a condition with a status.
type ConditionRequirement struct {
	// type of the condition.
	Type string `json:"type"`
	// status that the condition must have: True, False or Unknown.
	Status string `json:"status"`
}

// HealthMatchFieldSelectorRequirement asks something of a field and says where the object explains it.
type HealthMatchFieldSelectorRequirement struct {
	FieldSelectorRequirement `json:",inline"`
	// messagePath is the JSONPath of a text in the object that explains the field.
	// +optional
	MessagePath string `json:"messagePath,omitempty"`
}

// RetentionPolicy says how many finished objects are kept.
type RetentionPolicy struct {
	// maxFailedRuns is how many unhealthy objects are kept.
	// +kubebuilder:validation:Minimum=1
	MaxFailedRuns int64 `json:"maxFailedRuns"`
	// maxSuccessfulRuns is how many healthy objects are kept.
	// +kubebuilder:validation:Minimum=1
	MaxSuccessfulRuns int64 `json:"maxSuccessfulRuns"`
}
