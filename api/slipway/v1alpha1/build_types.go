package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a Build's Ready condition, beside those of an Image and a Source that it shares. All but ReasonBuilt say that
// the image of what is asked for is not there; latestImage is then what was built last.
const (
	// ReasonBuilt : latestImage is of what the spec says.
	ReasonBuilt = "Built"
	// ReasonRequested : an image is asked for, a moment ago.
	ReasonRequested = "Requested"
	// ReasonNobodyBuilds : an image is asked for, and nobody builds it.
	ReasonNobodyBuilds = "NobodyBuilds"
	// ReasonBuilding : somebody builds it.
	ReasonBuilding = "Building"
	// ReasonBuildFailed : the source does not build. It is not tried again before the spec changes, or somebody asks.
	ReasonBuildFailed = "BuildFailed"
	// ReasonNotPushed : a builder named an image that the registry does not have. It is looked for until it is there, or
	// somebody asks for another.
	ReasonNotPushed = "NotPushed"
)

// Why an image is built; several are joined with commas, in this order.
const (
	// CauseSource : the source is another one.
	CauseSource = "SOURCE"
	// CauseConfig : the image's name, env or params are others.
	CauseConfig = "CONFIG"
	// CauseBaseImage : there is a newer base image.
	CauseBaseImage = "BASE_IMAGE"
	// CauseManual : the annotation slipway.dev/requested-at has another value.
	CauseManual = "MANUAL"
)

// Build makes an image of a source artifact. The image is built on a user's machine, by `slipway dev` or `slipway build`,
// which watch the request in its status and answer it there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=builds,singular=build,categories=slipway
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.status.latestImage`
// +kubebuilder:printcolumn:name="Cause",type=string,JSONPath=`.status.latestReason`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Build struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to build.
	Spec BuildSpec `json:"spec"`
	// status says what was built. It is written by slipway alone.
	// +optional
	Status BuildStatus `json:"status,omitempty"`
}

// BuildSpec says what to build.
type BuildSpec struct {
	// source is what is built; its slipway.yaml, if it has one, says how.
	Source BuildSource `json:"source"`

	// image is the repository that the image is pushed to, such as localhost:5000/apps/demo, without a tag.
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image"`

	// env are environment variables of the build: of the go command, or of the command in slipway.yaml; for a Dockerfile
	// they are build arguments. They win over those in slipway.yaml. They are not in the image's environment.
	// +optional
	// +listType=map
	// +listMapKey=name
	Env []BuildVariable `json:"env,omitempty"`

	// params say more about how to build. There is one, main: the package to build, such as ./cmd/server, of a Go source
	// that has several programs.
	// +optional
	// +listType=map
	// +listMapKey=name
	Params []BuildVariable `json:"params,omitempty"`

	// serviceAccountName names the service account of this namespace whose pull secrets are used to look whether the image
	// is there; "default" without it.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// BuildSource is a source artifact.
type BuildSource struct {
	// url is where the artifact is, a tar archive compressed with gzip.
	// +kubebuilder:validation:Pattern=`^https?://`
	URL string `json:"url"`
	// revision of the source, for people.
	// +optional
	Revision string `json:"revision,omitempty"`
	// digest of the artifact (sha256:...); without it, the one that the url names, if it does. A source is the same as
	// another one when its digest is.
	// +optional
	Digest string `json:"digest,omitempty"`
}

// BuildVariable is a name and a value.
type BuildVariable struct {
	// name of it.
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_.-]*$`
	Name string `json:"name"`
	// value of it.
	// +optional
	Value string `json:"value"`
}

// BuildStatus says what was built, and what is asked for.
type BuildStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// latestImage is the image that was built last, by digest. It was seen in the registry.
	// +optional
	LatestImage string `json:"latestImage,omitempty"`
	// latestReason is why it was built: SOURCE, CONFIG, BASE_IMAGE or MANUAL, or several of them with commas between.
	// +optional
	LatestReason string `json:"latestReason,omitempty"`
	// latest are the things that latestImage was made of.
	// +optional
	Latest *BuildInputs `json:"latest,omitempty"`
	// base is what latestImage stands on; none where the builder does not know of a base that may change.
	// +optional
	Base *BuildBase `json:"base,omitempty"`
	// bases are the images that the Dockerfile of latestImage names, in all its stages; none where there is no Dockerfile.
	// +optional
	// +listType=atomic
	Bases []BuildBase `json:"bases,omitempty"`
	// builds is how many images were built.
	// +optional
	Builds int64 `json:"builds,omitempty"`

	// request is the image that is asked for; none when latestImage is what the spec wants.
	// +optional
	Request *BuildRequest `json:"request,omitempty"`
	// claim is by whoever builds what the request asks for. Builders write it.
	// +optional
	Claim *BuildClaim `json:"claim,omitempty"`
	// answer is what became of a request. Builders write it.
	// +optional
	Answer *BuildAnswer `json:"answer,omitempty"`

	// lastHandledRequest is the value of the annotation slipway.dev/requested-at that was last heeded: the image that was
	// asked for with it was built, or did not build.
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// conditions holds one, Ready. While it is not True its message says why, with the compiler's last lines, or what to
	// run.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BuildInputs are the things that an image is made of.
type BuildInputs struct {
	// source is what was built.
	Source BuildSource `json:"source"`
	// config is a digest of the image's name, env and params.
	Config string `json:"config"`
	// requestedAt is the value of the annotation slipway.dev/requested-at.
	// +optional
	RequestedAt string `json:"requestedAt,omitempty"`
	// base is the digest of the newer base that is asked for; empty when none is. Several have commas between.
	// +optional
	Base string `json:"base,omitempty"`
}

// BuildRequest asks for an image.
type BuildRequest struct {
	BuildInputs `json:",inline"`

	// id is made of the inputs: the same are the same request.
	ID string `json:"id"`
	// reason is why it is asked for.
	Reason string `json:"reason"`
	// time is when it was asked for first.
	Time metav1.Time `json:"time"`
}

// BuildClaim says who builds what a request asks for.
type BuildClaim struct {
	// request is the id of it.
	Request string `json:"request"`
	// by is who builds.
	By string `json:"by"`
	// until is when the claim ends, unless it is renewed before.
	Until metav1.Time `json:"until"`
	// problem is why the last try came to nothing, such as a source that cannot be reached. It is tried again while the claim
	// lasts.
	// +optional
	Problem string `json:"problem,omitempty"`
}

// BuildAnswer says what became of a request: exactly one of image and error is set.
type BuildAnswer struct {
	// request is the id of it.
	Request string `json:"request"`
	// by is who answers.
	By string `json:"by"`
	// image is the image, by digest, which has been pushed.
	// +optional
	Image string `json:"image,omitempty"`
	// base is what the image stands on.
	// +optional
	Base *BuildBase `json:"base,omitempty"`
	// bases are the images that the Dockerfile names.
	// +optional
	// +listType=atomic
	Bases []BuildBase `json:"bases,omitempty"`
	// error is why there is no image: the end of what the compiler said.
	// +optional
	Error string `json:"error,omitempty"`
}

// BuildBase is a base image.
type BuildBase struct {
	// name of it, as the source says it.
	Name string `json:"name"`
	// digest of it, on the nodes' platform; of one in an engine its id.
	Digest string `json:"digest"`
	// engine is the id of the Docker engine that has it, where it was taken from there. Whoever has another engine cannot
	// say what the name means.
	// +optional
	Engine string `json:"engine,omitempty"`
	// newest is the digest that the name was seen to have since; empty when it was not seen to change. Builders write it.
	// +optional
	Newest string `json:"newest,omitempty"`
}

// BuildList is a list of Builds.
//
// +kubebuilder:object:root=true
type BuildList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Build `json:"items"`
}
