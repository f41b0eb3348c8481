// Package explain reads how far a workload is in its supply chain, and beyond, in its delivery, or a deliverable in its
// delivery alone: as a tree of stages, and as a paragraph that says why it is not Ready. It changes nothing, and prints nothing.
package explain

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
)

var (
	workloads    = v1alpha1.GroupVersion.WithResource("workloads")
	deliverables = v1alpha1.GroupVersion.WithResource("deliverables")
)

// lacks finds in a message of the choreographer that a stage was not stamped for want of an input.
var lacks = regexp.MustCompile(`\(waiting for resource \[([^\]]+)\], which provides \[`)

// Node is a workload or deliverable, a stage of its chain, or what one of those has made.
type Node struct {
	Name   string `json:"name"`             // of the workload or deliverable, or of the resource in the chain
	Kind   string `json:"kind,omitempty"`   // of the object; "" before there is one
	Object string `json:"object,omitempty"` // its name
	// State is True when the node is Ready, False when something is wrong, and Unknown while it is on its way.
	State   metav1.ConditionStatus `json:"state"`
	Reason  string                 `json:"reason,omitempty"`
	Message string                 `json:"message,omitempty"`
	Since   *time.Time             `json:"since,omitempty"` // when the state began; nil when that is not known
	// Revision is what the stage has put out: a revision, an image, or a digest.
	Revision string `json:"revision,omitempty"`
	// Cached : a test run passed its source on without running the tests, since equal ones had been green.
	Cached bool `json:"cached,omitempty"`
	// Inputs are the stages from which it takes something.
	Inputs []string `json:"inputs,omitempty"`
	// Children are what comes of it.
	Children []*Node `json:"children,omitempty"`
	// Blueprint is the supply chain of a workload, or the delivery of a deliverable.
	Blueprint string `json:"blueprint,omitempty"`

	made bool // by a stage, and is no stage itself, though its kind may be one elsewhere
}

// Explainer asks one cluster.
type Explainer struct{ objects dynamic.Interface }

// New returns an Explainer of a cluster.
func New(config *rest.Config) (*Explainer, error) {
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Explainer{objects: objects}, nil
}

// Workload reads a workload and all that has come of it.
func (e *Explainer) Workload(ctx context.Context, namespace, name string) (*Node, error) {
	found, err := e.objects.Resource(workloads).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, hint.Withf(fmt.Errorf("there is no workload %s in namespace %s", name, namespace), "`slipway status` lists them; -n chooses another namespace")
	}
	if err != nil {
		return nil, fmt.Errorf("reading workload %s/%s: %w", namespace, name, err)
	}
	workload := &v1alpha1.Workload{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, workload); err != nil {
		return nil, fmt.Errorf("reading workload %s/%s: %w", namespace, name, err)
	}
	root := &Node{Name: name, Kind: v1alpha1.KindWorkload, Object: name, Blueprint: workload.Status.SupplyChainRef.Name}
	stale := workload.Status.ObservedGeneration < workload.Generation
	root.take(workload.Status.Conditions, stale)
	root.Children, err = e.stages(ctx, namespace, workload.Status.Resources)
	return root, err
}

// take reads a node's state from the condition Ready.
func (n *Node) take(conditions []metav1.Condition, stale bool) {
	n.State = metav1.ConditionUnknown
	for _, condition := range conditions {
		if condition.Type != v1alpha1.ConditionReady {
			continue
		}
		n.State, n.Reason, n.Message = condition.Status, condition.Reason, condition.Message
		if !condition.LastTransitionTime.IsZero() {
			n.Since = &condition.LastTransitionTime.Time
		}
	}
	if stale {
		n.State, n.Reason, n.Message, n.Since = metav1.ConditionUnknown, "NotObserved", "the controller has not looked at its last change yet", nil
	}
}

// stages reads the resources of a workload or deliverable, each below the last of those from which it takes something.
func (e *Explainer) stages(ctx context.Context, namespace string, resources []v1alpha1.ResourceStatus) ([]*Node, error) {
	var top []*Node
	all := map[string]*Node{}
	for _, resource := range resources {
		node, err := e.stage(ctx, namespace, resource)
		if err != nil {
			return nil, err
		}
		all[resource.Name] = node
	}
	place := map[string]int{}
	for i, resource := range resources {
		place[resource.Name] = i
	}
	for i, resource := range resources {
		node, parent := all[resource.Name], (*Node)(nil)
		for _, input := range node.Inputs {
			// An input that comes later in the list is not climbed to: in a circle, no node would be on top.
			if from := all[input]; from != nil && place[input] < i && (parent == nil || place[input] > place[parent.Name]) {
				parent = from
			}
		}
		if parent == nil {
			top = append(top, node)
		} else {
			parent.Children = append(parent.Children, node)
		}
	}
	return top, nil
}

func (e *Explainer) stage(ctx context.Context, namespace string, resource v1alpha1.ResourceStatus) (*Node, error) {
	node := &Node{Name: resource.Name, Revision: revision(resource.Outputs)}
	node.take(resource.Conditions, false)
	if lacking := lacks.FindStringSubmatch(node.Message); node.Reason == v1alpha1.ReasonTemplateStampFailure && lacking != nil {
		// Nothing has failed: the template cannot be rendered before its input is there.
		node.State, node.Reason, node.Message = metav1.ConditionUnknown, "Waiting", "waiting for "+lacking[1]
	}
	for _, input := range resource.Inputs {
		node.Inputs = append(node.Inputs, input.Name)
	}
	ref := resource.StampedRef
	if ref == nil || ref.Name == "" {
		return node, nil
	}
	node.Kind, node.Object = ref.Kind, ref.Name
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	var err error
	switch ref.Kind {
	case v1alpha1.KindDeliverable:
		_, err = e.deliverable(ctx, namespace, node)
	case v1alpha1.KindRunnable:
		err = e.runs(ctx, namespace, node)
	case "GitCommit":
		err = e.committed(ctx, namespace, node)
	case "Release":
		err = e.released(ctx, namespace, node)
	case "Deployment":
		err = e.pods(ctx, namespace, node)
	}
	return node, err
}

// deliverable adds the stages of the delivery. found is false for a deliverable that is not there.
func (e *Explainer) deliverable(ctx context.Context, namespace string, node *Node) (found bool, err error) {
	object, err := e.get(ctx, deliverables, namespace, node.Object)
	if object == nil || err != nil {
		return false, err
	}
	deliverable := &v1alpha1.Deliverable{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deliverable); err != nil {
		return false, fmt.Errorf("reading deliverable %s/%s: %w", namespace, node.Object, err)
	}
	node.Blueprint = deliverable.Status.DeliveryRef.Name
	if node.State == metav1.ConditionTrue { // the chain does not ask how the delivery is
		node.take(deliverable.Status.Conditions, deliverable.Status.ObservedGeneration < deliverable.Generation)
	}
	node.Children, err = e.stages(ctx, namespace, deliverable.Status.Resources)
	return true, err
}

// get returns nil for an object that is not there, or not any more.
func (e *Explainer) get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	found, err := e.objects.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s/%s: %w", resource.Resource, namespace, name, err)
	}
	return found, nil
}

// revision is what tells a stage's outputs apart best: a revision, else an image, else the digest of the first.
func revision(outputs []v1alpha1.Output) string {
	for _, name := range []string{"revision", "image"} {
		for _, output := range outputs {
			if output.Name == name {
				return strings.Trim(strings.TrimSpace(output.Preview), `"`)
			}
		}
	}
	if len(outputs) > 0 {
		return outputs[0].Digest
	}
	return ""
}
