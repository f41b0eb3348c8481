// Package fulfil answers Builds on the user's machine: it watches their requests, fetches the source artifact, builds it
// with the builders that `slipway dev` has, pushes the image, and writes the answer into the Build's status, where the
// stage in the cluster takes it up. Of several builders one does the work: whoever claims a request first, as long as it
// renews that; one that has the image in stock answers without. What needs an image, and whether an answer is good, is for
// the stage to say.
package fulfil

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/client-go/dynamic"

	cartov1alpha1 "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// DefaultJobs is how many images are built at once: a compiler uses several processors by itself.
const DefaultJobs = 2

// Options are what Watch and Once need. Cluster, Registry, Platform, By and Pusher must be set.
type Options struct {
	Cluster   dynamic.Interface
	Namespace string // whose Builds; "" means those of all
	Workload  string // of which workload; "" means of any, and of none

	Registry string            // the environment's, as users write it, such as localhost:5000
	Hosts    map[string]string // hosts of artifacts in the cluster, and where they are reached from here
	Platform v1.Platform       // of the nodes

	// Events is the URL of the registry's stream of push events, which tells of newer bases; "" means that nobody looks.
	Events string

	// Engine connects to the Docker engine, which tells of newer bases of Dockerfiles that it has, and is asked for nothing
	// before there is such a Build; nil means that nobody looks.
	Engine func(context.Context) (*docker.Engine, error)

	// By says who builds, and is different for each process: the one of several that claims a request fulfils it.
	By string
	// NewBuilder makes a builder; each Build gets one of its own. Nil means that nothing is given but what is in stock.
	NewBuilder func() (build.Builder, error)
	Pusher     *registry.Pusher
	Jobs       int // at once; 0 means DefaultJobs
	// Stock has images that were built before they were asked for; nil means none.
	Stock Stock
	// Restocked has a value when Stock may have more than before; nil means never.
	Restocked <-chan struct{}

	Progress ui.Progress // nil discards
	// Observe is told of what became of each request that was worked on, as soon as the stage has seen it, by one
	// goroutine at a time; nil is allowed.
	Observe func(Outcome)
}

// Order is what a request asks for.
type Order struct {
	Namespace, Name string // of the Build
	Program         string // the name of the program in the image
	Source          v1alpha1.BuildSource
	Image           string // the repository
	Env             map[string]string
	Main            string // the main package; "" means the only one
	Reason          string
	ID              string // the request's
	Latest          string // the image that was built last, by digest; "" when none was
}

// Digest is that of the source's archive; "" when it is not known.
func (o Order) Digest() string {
	if o.Source.Digest != "" {
		return o.Source.Digest
	}
	return artifact.Named(o.Source.URL)
}

// Alike says whether two orders are the same, but for the source.
func (o Order) Alike(other Order) bool {
	return o.Program == other.Program && o.Image == other.Image && o.Main == other.Main && maps.Equal(o.Env, other.Env)
}

// Again says whether an image of the same source and configuration is wanted anew.
func (o Order) Again() bool {
	return !strings.Contains(o.Reason, v1alpha1.CauseSource) && !strings.Contains(o.Reason, v1alpha1.CauseConfig)
}

// Made is an image that was pushed.
type Made struct {
	Image name.Digest
	Base  *v1alpha1.BuildBase // what it stands on; nil where that cannot change
	// Bases are the images that its Dockerfile names; none where it has no Dockerfile.
	Bases []v1alpha1.BuildBase
	// Attach pushes what tells of the image; nil means that there is nothing.
	Attach func(context.Context) error
}

// Stock has images that were built before they were asked for, or are being built.
type Stock interface {
	// Expect is told of each order that there may be: of a Build as it is, with another source. It returns at once.
	Expect(Order)
	// Has says whether Take may give something.
	Has(Order) bool
	// Take returns the image of an order, when it is built. An error that is a *Refusal is the answer; ErrOutOfStock says
	// that there is none.
	Take(context.Context, Order) (*Made, error)
}

// ErrOutOfStock means that an image is not in stock, or not any more.
var ErrOutOfStock = errors.New("it is not in stock")

// Outcome is what became of a request.
type Outcome struct {
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	Reason    string  `json:"reason"`             // why an image was asked for
	Revision  string  `json:"revision,omitempty"` // of the source
	Image     string  `json:"image,omitempty"`    // by digest; "" when there is none
	Error     string  `json:"error,omitempty"`    // why there is none; "" when there is one, or none is wanted any more
	Seconds   float64 `json:"seconds"`            // since it was claimed
}

// Refusal is an error that answers a request: trying again would not help.
type Refusal struct{ Err error }

// Error is the text of Err.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// orderOf reads what a Build asks for.
func orderOf(b *v1alpha1.Build) Order {
	o := Order{
		Namespace: b.Namespace, Name: b.Name, Program: b.Labels[cartov1alpha1.LabelWorkloadName], Image: b.Spec.Image,
		Source: b.Spec.Source, Env: map[string]string{}, Latest: b.Status.LatestImage,
	}
	if request := b.Status.Request; request != nil {
		o.Source, o.Reason, o.ID = request.Source, request.Reason, request.ID
	}
	if o.Program == "" {
		o.Program = b.Name
	}
	for _, variable := range b.Spec.Env {
		o.Env[variable.Name] = variable.Value
	}
	for _, param := range b.Spec.Params {
		if param.Name == "main" {
			o.Main = param.Value
		}
	}
	return o
}

// open says whether a Build's request waits for an answer.
func open(b *v1alpha1.Build) bool {
	request, answer := b.Status.Request, b.Status.Answer
	return request != nil && b.DeletionTimestamp.IsZero() && b.Status.ObservedGeneration == b.Generation && (answer == nil || answer.Request != request.ID)
}

// asks says whether a Build still asks for this.
func asks(b *v1alpha1.Build, id string) bool { return open(b) && b.Status.Request.ID == id }

// settled says whether the stage has seen what became of a request.
func settled(b *v1alpha1.Build, id string) bool {
	if b.Status.Request == nil || b.Status.Request.ID != id {
		return b.Status.ObservedGeneration == b.Generation
	}
	if answer := b.Status.Answer; answer == nil || answer.Request != id {
		return false
	}
	for _, condition := range b.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Status == "False"
		}
	}
	return false
}

// longDigest is a digest with more digits than people compare.
var longDigest = regexp.MustCompile(`(sha[0-9]+:[0-9a-f]{12})[0-9a-f]+`)

// title names an order to people.
func (o Order) title() string {
	text := fmt.Sprintf("Build %s/%s", o.Namespace, o.Name)
	if o.Source.Revision != "" {
		text += " of " + longDigest.ReplaceAllString(o.Source.Revision, "$1")
	}
	return text + " (" + o.Reason + ")"
}
