package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterTemplate stamps an object from which nothing is read.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clustertemplates,singular=clustertemplate,shortName=ct
type ClusterTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp.
	Spec TemplateSpec `json:"spec"`
}

// ClusterTemplateList is a list of ClusterTemplates.
//
// +kubebuilder:object:root=true
type ClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterTemplate `json:"items"`
}
