package realize

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// Result is what came of a workload.
type Result struct {
	// Resources is the new status.resources, in the chain's order.
	Resources []v1alpha1.ResourceStatus
	// Submitted and Healthy are the workload's conditions ResourcesSubmitted and ResourcesHealthy.
	Submitted, Healthy metav1.Condition
	// Events are what to tell about changes since the workload's previous status.
	Events []Event
	// Retry is the first error for which trying again may help without any change; else nil.
	Retry error
	// Forbidden : the API server refused the workload's identity something.
	Forbidden bool
}

// Event is something worth telling about a workload.
type Event struct{ Reason, Message string }

// Reasons of events.
const (
	EventStampedObjectApplied  = "StampedObjectApplied"
	EventStampedObjectRemoved  = "StampedObjectRemoved"
	EventOutputChanged         = "ResourceOutputChanged"
	EventHealthyStatusChanged  = "ResourceHealthyStatusChanged"
	unknownResource            = "could not fetch - see logs for 'failed to retrieve qualified resource name'"
	resourceSubmissionComplete = v1alpha1.ReasonResourceSubmissionComplete
)

// run is one realisation.
type run struct {
	cluster  Cluster
	workload *v1alpha1.Workload
	chain    *v1alpha1.ClusterSupplyChain
	now      metav1.Time
	// produced holds the outputs of the resources so far, by the resource's name.
	produced map[string]values
	// stamped says which resource stamped an object, by its identity.
	stamped map[string]string
	result  Result
}

// Realize stamps every resource of chain for workload. A resource that fails does not stop the others. workload and
// chain are not changed; workload's status is what was published before, and must carry its apiVersion and kind.
func Realize(ctx context.Context, cluster Cluster, workload *v1alpha1.Workload, chain *v1alpha1.ClusterSupplyChain, now metav1.Time) Result {
	r := &run{cluster: cluster, workload: workload, chain: chain, now: now, produced: map[string]values{}, stamped: map[string]string{}}
	resources := chain.Spec.Resources
	r.result.Resources = make([]v1alpha1.ResourceStatus, len(resources))
	r.result.Submitted = metav1.Condition{Type: v1alpha1.ConditionResourcesSubmitted, Status: metav1.ConditionTrue, Reason: resourceSubmissionComplete}
	var first *problem
	ordered, stuck := order(resources)
	for _, place := range ordered {
		step := r.resource(ctx, resources[place], stuck[place])
		r.result.Resources[place] = r.publish(step)
		if step.problem == nil {
			continue
		}
		if first == nil {
			first = step.problem
		}
		if r.result.Retry == nil {
			r.result.Retry = step.problem.retry
		}
		r.result.Forbidden = r.result.Forbidden || step.problem.forbidden
	}
	if first != nil {
		r.result.Submitted = first.condition(v1alpha1.ConditionResourcesSubmitted)
	}
	r.result.Healthy = resourcesHealthy(r.result.Resources)
	return r.result
}

// step is the realisation of one resource, as far as it came.
type step struct {
	resource    v1alpha1.SupplyChainResource
	template    *Template
	object      *unstructured.Unstructured
	ref         *v1alpha1.StampedRef
	passThrough string
	produced    values
	health      metav1.Condition
	problem     *problem
}

func (r *run) resource(ctx context.Context, resource v1alpha1.SupplyChainResource, stuck bool) *step {
	s := &step{resource: resource}
	var name string
	if name, s.passThrough, s.problem = r.choose(resource); s.problem != nil {
		return s
	}
	if s.passThrough != "" {
		r.pass(s)
		return s
	}
	found, err := r.cluster.Template(ctx, resource.TemplateRef.Kind, name)
	if err != nil {
		s.problem = r.templateProblem(resource.Name, resource.TemplateRef.Kind, name, err)
		return s
	}
	s.template = found
	var object *unstructured.Unstructured
	if stuck {
		err = errors.New("the resource waits for itself through its inputs")
	} else {
		object, err = r.stamp(ctx, resource, found)
	}
	if err != nil {
		s.problem = r.stampProblem(resource.Name, found, err)
		return s
	}
	r.apply(ctx, s, object)
	if s.object != nil {
		r.read(s)
	}
	return s
}

// choose returns the template's name or, with options, what the one that fits names.
func (r *run) choose(resource v1alpha1.SupplyChainResource) (name, passThrough string, p *problem) {
	options := resource.TemplateRef.Options
	if resource.TemplateRef.Name != "" || len(options) == 0 {
		return resource.TemplateRef.Name, "", nil
	}
	candidates := make([]selector.Selector, len(options))
	for i := range options {
		candidates[i] = selector.OfOption(options[i])
	}
	best, bad := selector.Best(candidates, r.workload)
	in := fmt.Sprintf("for resource [%s] in supply chain [%s]", resource.Name, r.chain.Name)
	if len(bad) > 0 {
		return "", "", &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonResolveTemplateOptionsError,
			message: fmt.Sprintf("error matching against template option [%s] %s: %v", options[bad[0].Index].Name, in, bad[0].Err)}
	}
	if len(best) == 1 {
		return options[best[0]].Name, options[best[0]].PassThrough, nil
	}
	matching := "matching options"
	if len(best) > 0 {
		names := make([]string, len(best))
		for i, place := range best {
			names[i] = options[place].Name
		}
		matching += " [" + strings.Join(names, ", ") + "]"
	}
	return "", "", &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonTemplateOptionsMatchError,
		message: fmt.Sprintf("expected exactly 1 option to match, found [%d] %s %s", len(best), matching, in)}
}

// pass makes an input the output of a resource for which nothing is stamped.
func (r *run) pass(s *step) {
	var declared []v1alpha1.ResourceReference
	family := ""
	switch s.resource.TemplateRef.Kind {
	case v1alpha1.KindClusterSourceTemplate:
		declared, family = s.resource.Sources, "sources"
	case v1alpha1.KindClusterImageTemplate:
		declared, family = s.resource.Images, "images"
	case v1alpha1.KindClusterConfigTemplate:
		declared, family = s.resource.Configs, "configs"
	default:
		return
	}
	for _, input := range declared {
		if input.Name == s.passThrough && r.produced[input.Resource] != nil {
			s.produced = r.produced[input.Resource]
			r.produced[s.resource.Name] = s.produced
			return
		}
	}
	s.problem = r.passThroughProblem(s.resource.Name, s.passThrough, fmt.Errorf("input [%s] not found in %s", s.passThrough, family))
}

func (r *run) apply(ctx context.Context, s *step, object *unstructured.Unstructured) {
	identity := fmt.Sprintf("%s %s", object.GroupVersionKind().GroupKind(), object.GetName())
	if other, taken := r.stamped[identity]; taken {
		s.problem = r.applyProblem(s.resource.Name, object.GetNamespace(), object.GetName(),
			fmt.Errorf("resource [%s] of the supply chain stamps the same object", other))
		s.problem.retry = nil
		return
	}
	r.stamped[identity] = s.resource.Name
	live, err := r.cluster.Apply(ctx, object)
	if err != nil {
		s.problem = r.applyProblem(s.resource.Name, object.GetNamespace(), object.GetName(), err)
		return
	}
	s.object = live
	s.ref = &v1alpha1.StampedRef{APIVersion: live.GetAPIVersion(), Kind: live.GetKind(), Namespace: live.GetNamespace(), Name: live.GetName(), Resource: unknownResource}
	if resource, err := r.cluster.Resource(live.GroupVersionKind()); err == nil {
		s.ref.Resource = resource.Name
	}
}

// read takes outputs and health from the stamped object.
func (r *run) read(s *step) {
	produced, path, err := readOutputs(s.template, s.object)
	s.health = health(s.template, s.object, len(produced))
	if err != nil {
		s.problem = outputProblem(path, *s.ref, s.health.Status)
		return
	}
	s.produced = produced
	r.produced[s.resource.Name] = produced
}
