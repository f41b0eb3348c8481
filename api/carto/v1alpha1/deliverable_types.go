package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Deliverable is a configuration that is ready to be deployed: where it is found. Its labels choose the delivery that
// brings it to a cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=deliverables,singular=deliverable,shortName=dlv,categories=all
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source['git.url','image']`
// +kubebuilder:printcolumn:name="Delivery",type=string,JSONPath=`.status.deliveryRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Deliverable struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec says where the configuration is and what the delivery should know about it.
	Spec DeliverableSpec `json:"spec"`
	// status is what the choreographer has made of it.
	// +optional
	Status DeliverableStatus `json:"status,omitempty"`
}

// DeliverableSpec says where a configuration is and what the delivery should know about it.
type DeliverableSpec struct {
	// params are values for the templates of the delivery. A parameter that the delivery fixes keeps the delivery's
	// value.
	// +optional
	Params []OwnerParam `json:"params,omitempty"`
	// source is where the configuration is.
	// +optional
	Source *Source `json:"source,omitempty"`
	// serviceAccountName is the service account of this namespace with which the objects of the delivery are made.
	// Without it the delivery's is used, or else the namespace's "default".
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// DeliverableStatus is what the choreographer has made of a deliverable.
type DeliverableStatus struct {
	OwnerStatus `json:",inline"`
	// deliveryRef names the delivery that the deliverable's labels chose.
	// +optional
	DeliveryRef ObjectReference `json:"deliveryRef,omitempty"`
}

// DeliverableList is a list of Deliverables.
//
// +kubebuilder:object:root=true
type DeliverableList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Deliverable `json:"items"`
}
