package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload is an application: where it comes from and what it needs. Its labels choose the supply chain that brings
// it to life.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=workloads,singular=workload,shortName=wld,categories=all
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source['git.url','image']`
// +kubebuilder:printcolumn:name="SupplyChain",type=string,JSONPath=`.status.supplyChainRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Workload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	// spec is what the developer says about the application.
	Spec WorkloadSpec `json:"spec"`
	// status is what the choreographer has made of it.
	// +optional
	Status WorkloadStatus `json:"status,omitempty"`
}

// WorkloadSpec is what a developer says about an application. Every field is for templates to use; a supply chain
// need not look at all of them.
type WorkloadSpec struct {
	// params are values for the templates of the supply chain. A parameter that the chain fixes keeps the chain's
	// value.
	// +optional
	Params []OwnerParam `json:"params,omitempty"`
	// source is where the source code is, for chains that build it.
	// +optional
	Source *Source `json:"source,omitempty"`
	// build holds what only the build of the application needs.
	// +optional
	Build WorkloadBuild `json:"build,omitempty"`
	// env is the environment of the running application.
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// image is the application's image, for chains that begin at one.
	// +optional
	Image *string `json:"image,omitempty"`
	// resources are the CPU and memory that the running application asks for and is limited to.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// serviceAccountName is the service account of this namespace with which the objects of the chain are made.
	// Without it the supply chain's is used, or else the namespace's "default".
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// serviceClaims are the services that the application wants to be bound to.
	// +optional
	ServiceClaims []WorkloadServiceClaim `json:"serviceClaims,omitempty"`
}

// Source is where source code is: in git or, as an artifact, in an image.
type Source struct {
	// git is a repository and what to take of it.
	// +optional
	Git *GitSource `json:"git,omitempty"`
	// image is an image that holds source code.
	// +optional
	Image *string `json:"image,omitempty"`
	// subPath is the folder inside the source that holds the application.
	// +optional
	Subpath *string `json:"subPath,omitempty"`
}

// GitSource is a git repository and a place in its history.
type GitSource struct {
	// url of the repository.
	// +optional
	URL *string `json:"url,omitempty"`
	// ref is what to take: a branch, a tag or a commit.
	// +optional
	Ref *GitRef `json:"ref,omitempty"`
}

// GitRef is a place in a git history.
type GitRef struct {
	// branch to follow.
	// +optional
	Branch *string `json:"branch,omitempty"`
	// tag to take.
	// +optional
	Tag *string `json:"tag,omitempty"`
	// commit to take.
	// +optional
	Commit *string `json:"commit,omitempty"`
}

// WorkloadBuild holds what only the build needs.
type WorkloadBuild struct {
	// env is the environment of the build.
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
}

// WorkloadServiceClaim names a service that the application wants to be bound to.
type WorkloadServiceClaim struct {
	// name of the claim, as the application knows it.
	Name string `json:"name"`
	// ref is the object that stands for the service.
	// +optional
	Ref *WorkloadServiceClaimReference `json:"ref,omitempty"`
}

// WorkloadServiceClaimReference names the object that stands for a service.
type WorkloadServiceClaimReference struct {
	// apiVersion of the object.
	APIVersion string `json:"apiVersion"`
	// kind of the object.
	Kind string `json:"kind"`
	// name of the object.
	Name string `json:"name"`
}

// WorkloadStatus is what the choreographer has made of a workload.
type WorkloadStatus struct {
	OwnerStatus `json:",inline"`
	// supplyChainRef names the supply chain that the workload's labels chose.
	// +optional
	SupplyChainRef ObjectReference `json:"supplyChainRef,omitempty"`
}

// ObjectReference names an object.
type ObjectReference struct {
	// kind of the object.
	// +optional
	Kind string `json:"kind,omitempty"`
	// namespace of the object; empty for kinds without one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	// +optional
	Name string `json:"name,omitempty"`
	// apiVersion of the object.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
}

// WorkloadList is a list of Workloads.
//
// +kubebuilder:object:root=true
type WorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Workload `json:"items"`
}
