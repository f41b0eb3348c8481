package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a Source's Ready condition.
const (
	// ReasonStored : the artifact is in the registry.
	ReasonStored = "Stored"
	// ReasonSuspended : spec.suspend is set. The last artifact stays.
	ReasonSuspended = "Suspended"
	// ReasonInvalidSpec : the spec names no source, or one that cannot be.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonReferenceNotFound : the repository has no such branch, tag or commit, or no such folder.
	ReasonReferenceNotFound = "ReferenceNotFound"
	// ReasonTooLarge : the source is larger than an artifact may be.
	ReasonTooLarge = "TooLarge"
	// ReasonUnpackable : what was fetched holds what a source may not, such as links that lead out of it.
	ReasonUnpackable = "Unpackable"
	// ReasonStorageFailed : the artifact could not be pushed, or the controller's own disk has no room to work on it. It is tried again by itself.
	ReasonStorageFailed = "StorageFailed"
)

// AnnotationRequestedAt asks a stage of slipway to look again, with any value that it has not had before.
const AnnotationRequestedAt = "slipway.dev/requested-at"

// Source follows a branch or tag of a git repository, or a source artifact in a registry, and publishes its files as an
// artifact that the stages after it can fetch. Equal files give an equal digest, whatever commit they are from.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=sources,singular=source,categories=slipway
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.artifact.revision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Source struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to follow.
	Spec SourceSpec `json:"spec"`
	// status says what was found. It is written by slipway alone.
	// +optional
	Status SourceStatus `json:"status,omitempty"`
}

// SourceSpec says what to follow.
//
// +kubebuilder:validation:XValidation:rule="has(self.git) != has(self.image)",message="exactly one of git and image is needed"
type SourceSpec struct {
	// git is a branch, tag or commit of a repository.
	// +optional
	Git *GitSource `json:"git,omitempty"`

	// image is a source artifact in a registry, as `slipway dev` and `flux push artifact` push it, or an image that holds
	// files: a repository with a tag, which is followed, or with a digest.
	// +optional
	Image string `json:"image,omitempty"`

	// subPath is the folder of the source that counts; changes elsewhere are none.
	// +optional
	SubPath string `json:"subPath,omitempty"`

	// interval is how often to look where nothing tells of changes; 1m without it.
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// suspend stops looking.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// serviceAccountName names the service account of this namespace as which secrets are read; "default" without it.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// imagePullSecrets names secrets of this namespace with credentials for the registry of image.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// GitSource is a branch, tag or commit of a repository.
type GitSource struct {
	// url of the repository: https://, http:// or ssh://.
	// +kubebuilder:validation:Pattern=`^(https?|ssh)://`
	URL string `json:"url"`

	// ref says what of it; without it, the branch that the repository itself is on.
	// +optional
	Ref GitReference `json:"ref,omitempty"`

	// secretRef names a secret of this namespace: username and password, or for ssh identity, known_hosts and
	// optionally password; the keys of kubernetes.io/basic-auth and kubernetes.io/ssh-auth are understood too.
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`

	// recurseSubmodules fetches submodules, too. Without it their folders are empty.
	// +optional
	RecurseSubmodules bool `json:"recurseSubmodules,omitempty"`
}

// GitReference says what of a repository. The first of commit, semver, tag and branch that is set counts.
type GitReference struct {
	// branch is followed.
	// +optional
	Branch string `json:"branch,omitempty"`
	// tag is followed: it may be moved.
	// +optional
	Tag string `json:"tag,omitempty"`
	// semver is a range of versions, such as >=1.2.0 <2.0.0: of the tags in it, the highest counts.
	// +optional
	Semver string `json:"semver,omitempty"`
	// commit is a commit's full hash.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{40})?$`
	Commit string `json:"commit,omitempty"`
}

// SourceStatus says what was found.
type SourceStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// artifact is the last one that was stored. It is kept while a later attempt fails.
	// +optional
	Artifact *SourceArtifact `json:"artifact,omitempty"`

	// lastHandledRequest is the value of the annotation slipway.dev/requested-at that was last heeded.
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// conditions holds one, Ready. While it is not True its message says why, and what to do about it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SourceArtifact is a stored source.
type SourceArtifact struct {
	// url is where pods of the cluster can fetch it: a tar archive compressed with gzip.
	URL string `json:"url"`
	// revision is where it is from: main@sha1:..., v1@sha1:..., sha1:..., or for an image tag@sha256:... or sha256:...
	Revision string `json:"revision"`
	// digest of the archive.
	Digest string `json:"digest"`
	// size of the archive, in bytes.
	Size int64 `json:"size"`
	// image is the artifact in the registry, by digest, as users name it.
	Image string `json:"image"`
	// lastUpdateTime is when it was stored.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
}

// SourceList is a list of Sources.
//
// +kubebuilder:object:root=true
type SourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Source `json:"items"`
}
