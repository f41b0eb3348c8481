package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterSourceTemplate stamps an object that makes source code available: the place of it and its revision.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clustersourcetemplates,singular=clustersourcetemplate,shortName=cst
type ClusterSourceTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp and where its outputs are.
	Spec SourceTemplateSpec `json:"spec"`
}

// SourceTemplateSpec says what to stamp and where its outputs are.
type SourceTemplateSpec struct {
	TemplateSpec `json:",inline"`
	// urlPath is the JSONPath in the stamped object at which the place of the source is found.
	URLPath string `json:"urlPath"`
	// revisionPath is the JSONPath in the stamped object at which the source's revision is found.
	RevisionPath string `json:"revisionPath"`
}

// ClusterSourceTemplateList is a list of ClusterSourceTemplates.
//
// +kubebuilder:object:root=true
type ClusterSourceTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterSourceTemplate `json:"items"`
}
