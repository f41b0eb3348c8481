package explain

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
)

// Target is what to explain.
type Target struct {
	Kind string // Workload or Deliverable
	Name string
}

// IsWorkload says whether the target is a workload, and no deliverable.
func (t Target) IsWorkload() bool { return t.Kind == v1alpha1.KindWorkload }

// TargetKinds are the kinds of targets, as users write them.
func TargetKinds() []string { return []string{"workload", "deliverable"} }

// ParseTarget reads the name of a workload, or KIND/NAME; the kind may be written as singular or plural, with or without
// its group. What is neither, or has no name, is an error.
func ParseTarget(argument string) (Target, error) {
	written, name, qualified := strings.Cut(argument, "/")
	if !qualified {
		written, name = "workload", argument
	}
	var target Target
	switch strings.TrimSuffix(strings.ToLower(written), "."+v1alpha1.GroupVersion.Group) {
	case "workload", "workloads":
		target.Kind = v1alpha1.KindWorkload
	case "deliverable", "deliverables":
		target.Kind = v1alpha1.KindDeliverable
	default:
		return Target{}, hint.Withf(fmt.Errorf("a %s has no stages", written), "write WORKLOAD, workload/NAME or deliverable/NAME")
	}
	if target.Name = name; name == "" || strings.Contains(name, "/") {
		return Target{}, fmt.Errorf("%q names no %s: write %s/NAME", argument, strings.ToLower(target.Kind), strings.ToLower(target.Kind))
	}
	return target, nil
}

// Explain reads a workload or a deliverable, and all that has come of it.
func (e *Explainer) Explain(ctx context.Context, namespace string, target Target) (*Node, error) {
	if target.IsWorkload() {
		return e.Workload(ctx, namespace, target.Name)
	}
	return e.Deliverable(ctx, namespace, target.Name)
}

// Deliverable reads a deliverable and all that has come of it.
func (e *Explainer) Deliverable(ctx context.Context, namespace, name string) (*Node, error) {
	// Whether it is Ready is for the deliverable itself to say, as nothing stamped it here.
	root := &Node{Name: name, Kind: v1alpha1.KindDeliverable, Object: name, State: metav1.ConditionTrue}
	found, err := e.deliverable(ctx, namespace, root)
	if err == nil && !found {
		return nil, hint.Withf(fmt.Errorf("there is no deliverable %s in namespace %s", name, namespace), "`kubectl get deliverables -A` lists them; -n chooses another namespace")
	}
	if err != nil {
		return nil, err
	}
	return root, nil
}

// Deliverables returns the names of the deliverables of a namespace.
func Deliverables(ctx context.Context, config *rest.Config, namespace string) ([]string, error) {
	e, err := New(config)
	if err != nil {
		return nil, err
	}
	found, err := e.objects.Resource(deliverables).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the deliverables of namespace %s: %w", namespace, err)
	}
	var names []string
	for _, item := range found.Items {
		names = append(names, item.GetName())
	}
	return names, nil
}
