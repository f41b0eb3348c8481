package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterConfigTemplate stamps an object that makes configuration available.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterconfigtemplates,singular=clusterconfigtemplate,shortName=cct
type ClusterConfigTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp and where its outputs are.
	Spec ConfigTemplateSpec `json:"spec"`
}

// ConfigTemplateSpec says what to stamp and where its outputs are.
type ConfigTemplateSpec struct {
	TemplateSpec `json:",inline"`
	// configPath is the JSONPath in the stamped object at which the configuration is found.
	ConfigPath string `json:"configPath"`
}

// ClusterConfigTemplateList is a list of ClusterConfigTemplates.
//
// +kubebuilder:object:root=true
type ClusterConfigTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterConfigTemplate `json:"items"`
}
