package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterImageTemplate stamps an object that makes an image available.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterimagetemplates,singular=clusterimagetemplate,shortName=cit
type ClusterImageTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp and where its outputs are.
	Spec ImageTemplateSpec `json:"spec"`
}

// ImageTemplateSpec says what to stamp and where its outputs are.
type ImageTemplateSpec struct {
	TemplateSpec `json:",inline"`
	// imagePath is the JSONPath in the stamped object at which the image is found.
	ImagePath string `json:"imagePath"`
}

// ClusterImageTemplateList is a list of ClusterImageTemplates.
//
// +kubebuilder:object:root=true
type ClusterImageTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterImageTemplate `json:"items"`
}
