package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ClusterRunTemplate stamps the runs of Runnables.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterruntemplates,singular=clusterruntemplate,shortName=crt
type ClusterRunTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp and where its outputs are.
	Spec RunTemplateSpec `json:"spec"`
}

// RunTemplateSpec says what to stamp for a run and where its outputs are.
type RunTemplateSpec struct {
	// template is the object to stamp. Strings in it may hold $(...)$ with a path such as runnable.spec.inputs.url
	// or selected.metadata.name. Give it a metadata.generateName, as each run is an object of its own.
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:pruning:PreserveUnknownFields
	Template runtime.RawExtension `json:"template"`
	// outputs are, by name, the JSONPaths in a run that succeeded at which the Runnable's outputs are found.
	// +optional
	Outputs map[string]string `json:"outputs,omitempty"`
}

// ClusterRunTemplateList is a list of ClusterRunTemplates.
//
// +kubebuilder:object:root=true
type ClusterRunTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterRunTemplate `json:"items"`
}
