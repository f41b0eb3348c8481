package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionReady is True while status.latestImage is what spec.image names now.
const ConditionReady = "Ready"

// Reasons of an Image's Ready condition.
const (
	// ReasonResolved : the image was found, or is named by its digest.
	ReasonResolved = "Resolved"
	// ReasonNotFound : the registry has no such repository or tag.
	ReasonNotFound = "NotFound"
	// ReasonUnauthorized : the registry refuses to tell, with the credentials there are.
	ReasonUnauthorized = "Unauthorized"
	// ReasonUnreachable : the registry does not answer, or not as a registry does.
	ReasonUnreachable = "Unreachable"
	// ReasonRateLimited : the registry asks to be asked less often.
	ReasonRateLimited = "RateLimited"
	// ReasonInvalidReference : spec.image is not the name of an image. Nothing is tried until it changes.
	ReasonInvalidReference = "InvalidReference"
	// ReasonInvalidPullSecret : a pull secret cannot be read as registry credentials.
	ReasonInvalidPullSecret = "InvalidPullSecret"
)

// Image follows one tag of a repository in an image registry and publishes the digest that the tag points to,
// so that a supply chain can roll out exactly what was pushed. A push to slipway's own registry is seen at
// once; any other registry is asked every 10 seconds.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=images,singular=image,categories=slipway
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Latest",type=string,JSONPath=`.status.latestImage`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Image struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to follow.
	Spec ImageSpec `json:"spec"`
	// status says what was found. It is written by slipway alone.
	// +optional
	Status ImageStatus `json:"status,omitempty"`
}

// ImageSpec says which image to follow and with which credentials.
type ImageSpec struct {
	// image is the image to follow, as one would write it for `docker pull`: a repository, which means its tag
	// latest (localhost:5000/apps/demo), a repository and a tag (ghcr.io/acme/web:stable), or a repository
	// and a digest (nginx@sha256:...), which never changes and is never asked for.
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image"`

	// imagePullSecrets names secrets of this namespace, of type kubernetes.io/dockerconfigjson, that hold the
	// credentials of a private registry. A secret that does not exist is passed over.
	// +optional
	// +listType=map
	// +listMapKey=name
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// serviceAccountName names a service account of this namespace whose imagePullSecrets are used too.
	// Without it that is the namespace's service account "default".
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// ImageStatus says what was found.
type ImageStatus struct {
	// latestImage is the image that was found last, by digest, under the name that spec.image gives it:
	// localhost:5000/apps/demo@sha256:... It is kept while a later attempt fails.
	// +optional
	LatestImage string `json:"latestImage,omitempty"`

	// complete is true while latestImage is what spec.image names now, and false while that is not known.
	// +optional
	Complete bool `json:"complete"`

	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// lastHandledRequest is the value of the annotation slipway.dev/requested-at that was last heeded.
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// conditions holds one, Ready. While it is not True its message says why, and what to do about it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ImageList is a list of Images.
//
// +kubebuilder:object:root=true
type ImageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Image `json:"items"`
}
