package v1alpha1

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Priority says when a convention's turn is.
type Priority string

// The priorities, in the order in which they are applied.
const (
	PriorityEarly  Priority = "Early"
	PriorityNormal Priority = "Normal"
	PriorityLate   Priority = "Late"
)

// SelectorTarget says whose labels a convention's selectors look at.
type SelectorTarget string

// The selector targets.
const (
	// TargetPodTemplateSpec : the labels of the pod template.
	TargetPodTemplateSpec SelectorTarget = "PodTemplateSpec"
	// TargetPodIntent : the labels of the PodIntent itself.
	TargetPodIntent SelectorTarget = "PodIntent"
)

// ClusterPodConvention changes the pod templates of the PodIntents that it selects: with a webhook, or with one of the
// conventions that come with slipway.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterpodconventions,singular=clusterpodconvention,categories=conventions
// +kubebuilder:printcolumn:name="Priority",type=string,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Built-in",type=string,JSONPath=`.spec.builtIn`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterPodConvention struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which PodIntents are meant, and what is done to them.
	Spec ClusterPodConventionSpec `json:"spec"`
}

// ClusterPodConventionSpec says which PodIntents are meant, and what is done to them.
//
// +kubebuilder:validation:XValidation:rule="has(self.webhook) != has(self.builtIn)",message="exactly one of webhook and builtIn is needed"
type ClusterPodConventionSpec struct {
	// selectors say which PodIntents are meant: those whose labels fit any of them. Without selectors that is all.
	// +optional
	Selectors []metav1.LabelSelector `json:"selectors,omitempty"`

	// selectorTarget says whose labels the selectors look at: those of the pod template, or of the PodIntent.
	// +optional
	// +kubebuilder:default=PodTemplateSpec
	// +kubebuilder:validation:Enum=PodTemplateSpec;PodIntent
	SelectorTarget SelectorTarget `json:"selectorTarget,omitempty"`

	// priority says when this convention's turn is: Early, Normal or Late. Those of one priority go by name.
	// +optional
	// +kubebuilder:default=Normal
	// +kubebuilder:validation:Enum=Early;Normal;Late
	Priority Priority `json:"priority,omitempty"`

	// suspend switches the convention off. What it did to a PodIntent is undone at once.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// webhook is asked what to change.
	// +optional
	Webhook *ConventionWebhook `json:"webhook,omitempty"`

	// builtIn is a convention that comes with slipway: Ports adds the ports that the image exposes and the
	// environment variable PORT, Probes a readiness probe on the first port, Resources requests and limits,
	// Restricted the security context of the restricted pod security standard, LiveView the labels of App Live View,
	// and NodeJS what Node.js programs expect. None of them changes what is there already.
	// +optional
	// +kubebuilder:validation:Enum=Ports;Probes;Resources;Restricted;LiveView;NodeJS
	BuiltIn string `json:"builtIn,omitempty"`
}

// ConventionWebhook is a server that answers a PodConventionContext.
type ConventionWebhook struct {
	// clientConfig says where it is, as for an admission webhook: a url, or a service of the cluster.
	// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.service)",message="exactly one of url and service is needed"
	// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.startsWith('https://')",message="the url must begin with https://"
	ClientConfig admissionregistrationv1.WebhookClientConfig `json:"clientConfig"`

	// certificate names a Certificate of cert-manager, whose authority is trusted besides clientConfig.caBundle.
	// +optional
	Certificate *CertificateReference `json:"certificate,omitempty"`
}

// CertificateReference names a Certificate of cert-manager.
type CertificateReference struct {
	// namespace of the Certificate.
	// +kubebuilder:validation:MinLength=1
	Namespace string `json:"namespace"`
	// name of the Certificate.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// ClusterPodConventionList is a list of ClusterPodConventions.
//
// +kubebuilder:object:root=true
type ClusterPodConventionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterPodConvention `json:"items"`
}
