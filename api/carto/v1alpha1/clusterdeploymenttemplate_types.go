package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterDeploymentTemplate stamps an object that deploys a source, and hands the source on once the object says that
// it is deployed.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterdeploymenttemplates,singular=clusterdeploymenttemplate,shortName=cdt
type ClusterDeploymentTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to stamp and when the deployment is done.
	Spec DeploymentSpec `json:"spec"`
}

// DeploymentSpec says what to stamp and when the deployment is done. Set exactly one of observedMatches and
// observedCompletion.
type DeploymentSpec struct {
	TemplateSpec `json:",inline"`
	// observedMatches calls the deployment done when each pair of fields of the stamped object holds the same value.
	// +optional
	ObservedMatches []ObservedMatch `json:"observedMatches,omitempty"`
	// observedCompletion calls the deployment done, or failed, when a field of the stamped object holds a value and
	// the object's status speaks of its present generation.
	// +optional
	ObservedCompletion *ObservedCompletion `json:"observedCompletion,omitempty"`
}

// ObservedMatch is a pair of fields of a stamped object that must hold the same value.
type ObservedMatch struct {
	// input is the JSONPath of the value that is asked for, most often below spec.
	Input string `json:"input"`
	// output is the JSONPath of the value that was reached, most often below status.
	Output string `json:"output"`
}

// ObservedCompletion says how a stamped object tells that it is done.
type ObservedCompletion struct {
	// succeeded holds when the deployment is done.
	Succeeded ObservedField `json:"succeeded"`
	// failed holds when the deployment has failed. It is looked at before succeeded.
	// +optional
	Failed *ObservedField `json:"failed,omitempty"`
}

// ObservedField is a field of a stamped object and the value that is waited for.
type ObservedField struct {
	// key is the JSONPath of the field.
	Key string `json:"key"`
	// value that the field must have.
	Value string `json:"value"`
}

// ClusterDeploymentTemplateList is a list of ClusterDeploymentTemplates.
//
// +kubebuilder:object:root=true
type ClusterDeploymentTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterDeploymentTemplate `json:"items"`
}
