package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Runnable runs something that cannot be changed once it runs, such as a job, again whenever its inputs change, and
// publishes the outputs of the newest run that succeeded.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=runnables,singular=runnable,shortName=run
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Runnable struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says what to run and with what.
	Spec RunnableSpec `json:"spec"`
	// status is how the runs went.
	// +optional
	Status RunnableStatus `json:"status,omitempty"`
}

// RunnableSpec says what to run and with what.
type RunnableSpec struct {
	// runTemplateRef names the ClusterRunTemplate that is stamped for each run.
	RunTemplateRef TemplateReference `json:"runTemplateRef"`
	// selector finds the one object that the template knows as "selected".
	// +optional
	Selector *ResourceSelector `json:"selector,omitempty"`
	// inputs are values of any kind; a change of one that the template uses begins a new run.
	// +optional
	Inputs map[string]apiextensionsv1.JSON `json:"inputs,omitempty"`
	// serviceAccountName is the service account of this namespace with which the runs are made. Without it, the
	// namespace's "default" is used.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// retentionPolicy says how many finished runs are kept.
	// +optional
	// +kubebuilder:default={maxFailedRuns: 10, maxSuccessfulRuns: 10}
	RetentionPolicy RetentionPolicy `json:"retentionPolicy,omitempty,omitzero"`
}

// TemplateReference names a ClusterRunTemplate.
type TemplateReference struct {
	// kind is not looked at: there is only ClusterRunTemplate.
	// +optional
	Kind string `json:"kind,omitempty"`
	// name of the template.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// ResourceSelector finds an object by its labels.
type ResourceSelector struct {
	// resource is what kind of object to look for.
	Resource ResourceType `json:"resource"`
	// matchingLabels are the labels that the object has. Exactly one object must have them all.
	MatchingLabels map[string]string `json:"matchingLabels"`
}

// ResourceType is a kind of object.
type ResourceType struct {
	// apiVersion of the kind.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// kind of the object.
	// +optional
	Kind string `json:"kind,omitempty"`
}

// RunnableStatus is how the runs of a Runnable went.
type RunnableStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are RunTemplateReady, StampedObjectCondition and Ready, which sums up the others.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// outputs are the values that the newest run that succeeded has at the paths of the template's outputs.
	// +optional
	Outputs map[string]apiextensionsv1.JSON `json:"outputs,omitempty"`
}

// RunnableList is a list of Runnables.
//
// +kubebuilder:object:root=true
type RunnableList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Runnable `json:"items"`
}
