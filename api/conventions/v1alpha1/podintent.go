package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AnnotationApplied stands on a pod template and lists what was applied to it, a line each: the convention's name, a
// slash, and what it says that it did.
const AnnotationApplied = "conventions.carto.run/applied-conventions"

// Conditions of a PodIntent.
const (
	// ConditionConventionsApplied is True when every convention that fits was applied.
	ConditionConventionsApplied = "ConventionsApplied"
	// ConditionReady is as ConditionConventionsApplied is.
	ConditionReady = "Ready"
)

// Reasons of a PodIntent's conditions.
const (
	// ReasonApplied : of ConventionsApplied, when it is True.
	ReasonApplied = "Applied"
	// ReasonConventionsApplied : of Ready when it is True, and of both when a convention could not be applied.
	ReasonConventionsApplied = "ConventionsApplied"
	// ReasonCABundleResolutionFailed : there is no certificate authority yet for a convention's certificate.
	ReasonCABundleResolutionFailed = "CABundleResolutionFailed"
	// ReasonImageResolutionFailed : there are no credentials with which to look at the images.
	ReasonImageResolutionFailed = "ImageResolutionFailed"
	// ReasonLabelSelector : a convention's selector is not valid.
	ReasonLabelSelector = "LabelSelector"
	// ReasonInvalidTemplate : spec.template is not a pod template.
	ReasonInvalidTemplate = "InvalidTemplate"
)

// PodIntent is a pod template to which the cluster's conventions are to be applied. What comes of it is in
// status.template; no pod is made.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=podintents,singular=podintent,categories=conventions
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PodIntent struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the pod template, and who may look at its images.
	Spec PodIntentSpec `json:"spec"`
	// status is what came of it. It is written by slipway alone.
	// +optional
	Status PodIntentStatus `json:"status,omitempty"`
}

// PodIntentSpec is a pod template, and who may look at its images.
type PodIntentSpec struct {
	// serviceAccountName names a service account of this namespace, whose imagePullSecrets are used too, and as
	// which they are read.
	// +optional
	// +kubebuilder:default=default
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// imagePullSecrets names secrets of this namespace that hold the credentials of private registries. One that
	// does not exist is passed over.
	// +optional
	ImagePullSecrets []PullSecret `json:"imagePullSecrets,omitempty"`

	// template is the pod template: labels and annotations in metadata, and in spec all that the spec of a pod
	// may have. A field that pods do not have is said in the conditions.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Template runtime.RawExtension `json:"template"`
}

// PullSecret names a secret.
type PullSecret struct {
	// name of the secret.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// References are the secrets as pods name them.
func (s PodIntentSpec) References() []corev1.LocalObjectReference {
	var all []corev1.LocalObjectReference
	for _, secret := range s.ImagePullSecrets {
		all = append(all, corev1.LocalObjectReference{Name: secret.Name})
	}
	return all
}

// PodIntentStatus is what came of a PodIntent.
type PodIntentStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions holds ConventionsApplied and Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// template is the pod template after the conventions. It is kept while a later attempt fails.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Template *runtime.RawExtension `json:"template,omitempty"`
}

// PodIntentList is a list of PodIntents.
//
// +kubebuilder:object:root=true
type PodIntentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PodIntent `json:"items"`
}
