package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionSucceeded is Unknown while a TestRun runs, True once its tests are green, and False once they are not.
const ConditionSucceeded = "Succeeded"

// Reasons of a TestRun's Succeeded condition.
const (
	// ReasonPending : the job is not made yet, or its pod has not started.
	ReasonPending = "Pending"
	// ReasonRunning : the tests run.
	ReasonRunning = "Running"
	// ReasonSucceeded : the tests are green.
	ReasonSucceeded = "Succeeded"
	// ReasonCached : the same tests of the same source were green before.
	ReasonCached = "Cached"
	// ReasonFailed : the tests are red, or could not be run.
	ReasonFailed = "Failed"
	// ReasonTimedOut : the tests took longer than they may.
	ReasonTimedOut = "TimedOut"
	// ReasonForbidden : the service account may not make the job. It is tried again by itself.
	ReasonForbidden = "Forbidden"
	// ReasonNotOurs : there is a job of that name which belongs to something else.
	ReasonNotOurs = "NotOurs"
)

// TestDefinition says how a source is tested: a command in an image.
type TestDefinition struct {
	// image is the image in which the tests run.
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image"`

	// command is the test command. It runs in the root of the source, without a shell; "sh -c" can be written for one.
	// +kubebuilder:validation:MinItems=1
	Command []string `json:"command"`

	// env are environment variables for the command.
	// +optional
	// +listType=map
	// +listMapKey=name
	Env []TestVariable `json:"env,omitempty"`

	// params are the parameters that a run may set, with the values that they have otherwise. The command finds each
	// in an environment variable of its name.
	// +optional
	// +listType=map
	// +listMapKey=name
	Params []TestVariable `json:"params,omitempty"`

	// timeout is how long the tests may take; 10m without it.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// cache keeps what compilers and package managers cache (Go, npm, and all that heed XDG_CACHE_HOME) on the node,
	// for the runs that follow in this namespace. Where its Pod Security level allows no folder of the node, there is none.
	// +optional
	Cache bool `json:"cache,omitempty"`

	// resources of the container that runs the tests.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// runAsUser is the number of the user that runs the tests; 65532 without it. It cannot be root.
	// +optional
	// +kubebuilder:validation:Minimum=1
	RunAsUser *int64 `json:"runAsUser,omitempty"`
}

// TestVariable is a name and a value.
type TestVariable struct {
	// name, as an environment variable may have it.
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_.-]*$`
	Name string `json:"name"`
	// value of it.
	// +optional
	Value string `json:"value"`
}

// TestPlan says how the sources of a namespace's workloads are tested. A supply chain finds it by its labels.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=testplans,singular=testplan,categories=slipway
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Command",type=string,JSONPath=`.spec.command`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TestPlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how a source is tested.
	Spec TestDefinition `json:"spec"`
}

// TestPlanList is a list of TestPlans.
//
// +kubebuilder:object:root=true
type TestPlanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TestPlan `json:"items"`
}

// TestRun is one run of tests on one revision of a source. It has a Job fetch the source and run the command; its
// status passes the source on once they are green.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=testruns,singular=testrun,categories=slipway
// +kubebuilder:printcolumn:name="Succeeded",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.spec.source.revision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TestRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is tested and how. It cannot be changed: another revision is another run.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run cannot be changed: make another one"
	Spec TestRunSpec `json:"spec"`
	// status is how it went. It is written by slipway alone.
	// +optional
	Status TestRunStatus `json:"status,omitempty"`
}

// TestRunSpec says what is tested and how.
type TestRunSpec struct {
	// source is what is tested.
	Source TestSource `json:"source"`

	// definition says how, as a TestPlan does.
	Definition TestDefinition `json:"definition"`

	// params win over those of the definition that have the same names.
	// +optional
	// +listType=map
	// +listMapKey=name
	Params []TestVariable `json:"params,omitempty"`

	// serviceAccountName names the service account of this namespace that makes the job; "default" without it. The
	// tests themselves run as another one, which has no rights.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// TestSource is a source artifact.
type TestSource struct {
	// url is where the artifact is, a tar archive compressed with gzip.
	// +kubebuilder:validation:Pattern=`^https?://`
	URL string `json:"url"`
	// revision is passed on once the tests are green.
	// +optional
	Revision string `json:"revision,omitempty"`
	// digest of the artifact (sha256:...); without it, the one that the url names, if it does.
	// +optional
	Digest string `json:"digest,omitempty"`
	// subPath is the folder of the source in which the command runs.
	// +optional
	SubPath string `json:"subPath,omitempty"`
}

// TestRunStatus is how a TestRun went.
type TestRunStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// url and revision of the source, once its tests are green.
	// +optional
	URL string `json:"url,omitempty"`
	// revision of the source, once its tests are green.
	// +optional
	Revision string `json:"revision,omitempty"`

	// job is the Job that runs the tests; none when an earlier run counts.
	// +optional
	Job string `json:"job,omitempty"`
	// cachedFrom is the earlier run that counts, if one does.
	// +optional
	CachedFrom string `json:"cachedFrom,omitempty"`

	// startTime is when the job was made.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when it was known how the tests went.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// conditions holds one, Succeeded. While it is not True its message says why, with the last lines of a red test.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TestRunList is a list of TestRuns.
//
// +kubebuilder:object:root=true
type TestRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TestRun `json:"items"`
}
