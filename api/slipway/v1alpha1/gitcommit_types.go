package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a GitCommit's Ready condition, beside those of a Source that it shares.
const (
	// ReasonCommitted : the branch, or the bundle, holds the files.
	ReasonCommitted = "Committed"
	// ReasonMissingParameters : of the parameters that only work together some are set and some are not.
	ReasonMissingParameters = "MissingParameters"
	// ReasonRefused : the server does not take the commit. It is tried again by itself.
	ReasonRefused = "Refused"
)

// GitCommit writes files to a folder of a branch in a git repository, and commits when they differ; or, where no
// repository is given, pushes them to a registry as an artifact. Many may write to one branch.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=gitcommits,singular=gitcommit,categories=slipway
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GitCommit struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which files are to be where.
	Spec GitCommitSpec `json:"spec"`
	// status says where they are. It is written by slipway alone.
	// +optional
	Status GitCommitStatus `json:"status,omitempty"`
}

// GitCommitSpec says which files are to be where. A text that is empty counts as not set, so that a template may pass on
// parameters that have no value.
type GitCommitSpec struct {
	// files are the files' contents by their names, which may have folders before them.
	// +kubebuilder:validation:MinProperties=1
	Files map[string]string `json:"files"`

	// workload is the name of the workload whose files they are; without it the label carto.run/workload-name tells, and
	// without that the name of this object.
	// +optional
	Workload string `json:"workload,omitempty"`

	// path is the folder that holds the files and nothing else; without it config/<namespace>/<workload>, and where
	// repository or repositoryPrefix is set, config. A bundle has no such folder.
	// +optional
	Path string `json:"path,omitempty"`

	// git is where to commit. Where it names no repository, bundle counts.
	// +optional
	Git GitTarget `json:"git,omitempty"`

	// bundle is where to push the files as an artifact when git names no repository: a repository of a registry, with a tag.
	// +optional
	Bundle string `json:"bundle,omitempty"`

	// serviceAccountName names the service account of this namespace as which secrets are read; "default" without it.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// GitTarget is a branch of a repository. Each field is the parameter gitops_... of the same words.
type GitTarget struct {
	// serverAddress, repositoryOwner and repositoryName make the repository's URL. All three are set, or none.
	// +optional
	ServerAddress string `json:"serverAddress,omitempty"`
	// +optional
	RepositoryOwner string `json:"repositoryOwner,omitempty"`
	// +optional
	RepositoryName string `json:"repositoryName,omitempty"`
	// serverKind is github, gitlab or azure; the URLs of azure are made in another way.
	// +optional
	ServerKind string `json:"serverKind,omitempty"`

	// repository is the URL of a repository that is one workload's alone. The three above come first.
	// +optional
	Repository string `json:"repository,omitempty"`
	// repositoryPrefix and the workload's name make the URL of such a repository.
	// +optional
	RepositoryPrefix string `json:"repositoryPrefix,omitempty"`

	// branch is main without a value. It is made when it is not there.
	// +optional
	Branch string `json:"branch,omitempty"`
	// userName and userEmail are of the commits' author; supplychain without values.
	// +optional
	UserName string `json:"userName,omitempty"`
	// +optional
	UserEmail string `json:"userEmail,omitempty"`
	// commitMessage is what the commits say; "bump" and the workload's name without a value.
	// +optional
	CommitMessage string `json:"commitMessage,omitempty"`

	// secret names a secret of this namespace: username and password, or for ssh identity and known_hosts; the keys of
	// kubernetes.io/basic-auth and kubernetes.io/ssh-auth are understood too.
	// +optional
	Secret string `json:"secret,omitempty"`
}

// GitCommitStatus says where the files are.
type GitCommitStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// url is the repository's, or the bundle's name with its digest.
	// +optional
	URL string `json:"url,omitempty"`
	// branch is the branch that was written to; empty for a bundle.
	// +optional
	Branch string `json:"branch,omitempty"`
	// path is the folder of the files; empty for a bundle, or when it is all of the repository.
	// +optional
	Path string `json:"path,omitempty"`
	// revision is the first one that was seen to hold the files: main@sha1:..., or for a bundle tag@sha256:...
	// It stays while the files do, whatever others commit, and is kept while a later attempt fails.
	// +optional
	Revision string `json:"revision,omitempty"`
	// digest tells the files and their place apart from all others, so that after a restart nothing is done twice.
	// +optional
	Digest string `json:"digest,omitempty"`
	// lastUpdateTime is when revision changed.
	// +optional
	LastUpdateTime *metav1.Time `json:"lastUpdateTime,omitempty"`
	// lastHandledRequest is the value of the annotation slipway.dev/requested-at that was last heeded: the branch was
	// looked at, and the files were committed again if it did not hold them.
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// conditions holds one, Ready. While it is not True its message says why, and what to do about it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// GitCommitList is a list of GitCommits.
//
// +kubebuilder:object:root=true
type GitCommitList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitCommit `json:"items"`
}
