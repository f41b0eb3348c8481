package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a Release's Ready condition, beside those of other stages that it shares (Unreachable, Unpackable, InvalidSpec,
// Forbidden, Suspended).
const (
	// ReasonReleased : every object of the revision is applied and ready, and what earlier ones had more is gone.
	ReasonReleased = "Released"
	// ReasonProgressing : the objects are being applied, or are not ready yet.
	ReasonProgressing = "Progressing"
	// ReasonApplyFailed : the API server does not take an object. Where it can be known beforehand, none is applied.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonNotReady : an object has failed, or was not ready in time. Nothing is pruned, and it is looked at further.
	ReasonNotReady = "NotReady"
)

// Release applies the manifests of a revision to the cluster: in order, with server-side apply and an inventory (an
// ApplySet), waits until all is ready, and then deletes what earlier revisions had and this one has not. What others change
// of it is put right. All of it is done as a service account of the namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=releases,singular=release,categories=slipway
// +kubebuilder:metadata:labels="applyset.kubernetes.io/is-parent-type=true"
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Release struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to apply.
	Spec ReleaseSpec `json:"spec"`
	// status says what is applied. It is written by slipway alone.
	// +optional
	Status ReleaseStatus `json:"status,omitempty"`
}

// ReleaseSpec says what to apply.
type ReleaseSpec struct {
	// source is the artifact that holds the manifests, as a Source publishes it.
	Source ReleaseSource `json:"source"`

	// path is the folder of the artifact that holds them, with all folders below; without it, the whole.
	// +optional
	Path string `json:"path,omitempty"`

	// serviceAccountName names the service account of this namespace as which all is done; "default" without it.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// timeout is how long the objects may take to become ready before the release counts as failed; 5m without it.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// interval is how often to put right what others have changed; 1m without it.
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// suspend leaves everything as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ReleaseSource is an artifact.
type ReleaseSource struct {
	// url is where it can be fetched: a tar archive compressed with gzip.
	// +kubebuilder:validation:Pattern=`^https?://`
	URL string `json:"url"`
	// revision is what people call it, such as main@sha1:...
	Revision string `json:"revision"`
}

// ReleaseStatus says what is applied.
type ReleaseStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// attempted is the revision that was last begun with.
	// +optional
	Attempted string `json:"attempted,omitempty"`
	// attemptedDigest tells what was begun with apart from all others.
	// +optional
	AttemptedDigest string `json:"attemptedDigest,omitempty"`
	// attemptedAt is when.
	// +optional
	AttemptedAt *metav1.Time `json:"attemptedAt,omitempty"`
	// releasedAt is when all that was last begun with was first ready; without it, it has not been yet.
	// +optional
	ReleasedAt *metav1.Time `json:"releasedAt,omitempty"`
	// revision is the last one that was ready, all of it.
	// +optional
	Revision string `json:"revision,omitempty"`

	// inventory lists what was applied and may be there.
	// +optional
	// +listType=atomic
	Inventory []ReleasedObject `json:"inventory,omitempty"`

	// lastHandledRequest is the value of the annotation slipway.dev/requested-at that was last heeded.
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// conditions holds one, Ready: Unknown while objects are on their way, False with the object's name and why when one
	// has failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReleasedObject names an object.
type ReleasedObject struct {
	// +optional
	Group   string `json:"group,omitempty"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// ReleaseList is a list of Releases.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}
