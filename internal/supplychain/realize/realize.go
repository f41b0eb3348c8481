package realize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// Result is what came of an owner.
type Result struct {
	// Resources is the new status.resources, in the blueprint's order.
	Resources []v1alpha1.ResourceStatus
	// Submitted and Healthy are the owner's conditions ResourcesSubmitted and ResourcesHealthy.
	Submitted, Healthy metav1.Condition
	// Events are what to tell about changes since the owner's previous status.
	Events []Event
	// Retry is the first error for which trying again may help without any change; else nil.
	Retry error
	// Forbidden : the API server refused the owner's identity something.
	Forbidden bool
	// Lifecycles are those of the templates by which resources were stamped now, by the resource's name.
	Lifecycles map[string]string
}

// Event is something worth telling about an owner.
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
	cluster   Cluster
	owner     Owner
	blueprint Blueprint
	now       metav1.Time
	// produced holds the outputs of the resources so far, by the resource's name.
	produced map[string]values
	// secret says of which of them the values are a Secret's.
	secret map[string]bool
	// stamped says which resource stamped an object, by its identity.
	stamped map[string]string
	result  Result
}

// newRun begins a realisation.
func newRun(cluster Cluster, owner Owner, blueprint Blueprint, now metav1.Time) *run {
	return &run{cluster: cluster, owner: owner, blueprint: blueprint, now: now, produced: map[string]values{}, secret: map[string]bool{}, stamped: map[string]string{},
		result: Result{Lifecycles: map[string]string{}}}
}

// Realize stamps every resource of blueprint for owner, neither of which it changes. A resource that fails does not
// stop the others.
func Realize(ctx context.Context, cluster Cluster, owner Owner, blueprint Blueprint, now metav1.Time) Result {
	r := newRun(cluster, owner, blueprint, now)
	resources := blueprint.Resources
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
	resource Link
	template *Template
	// object is what was stamped, or last stamped; outputs are read from readFrom, which is the newest healthy object
	// where several follow each other, and nil where there is none.
	object, readFrom *unstructured.Unstructured
	ref              *v1alpha1.StampedRef
	passThrough      string
	produced         values
	health           metav1.Condition
	problem          *problem
	note             string // about the object's kind
	account          *v1alpha1.ServiceAccountRef
}

func (r *run) resource(ctx context.Context, resource Link, stuck bool) *step {
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
func (r *run) choose(resource Link) (name, passThrough string, p *problem) {
	options := resource.TemplateRef.Options
	if resource.TemplateRef.Name != "" || len(options) == 0 {
		return resource.TemplateRef.Name, "", nil
	}
	candidates := make([]selector.Selector, len(options))
	for i := range options {
		candidates[i] = selector.OfOption(options[i])
	}
	best, bad := selector.Best(candidates, r.owner.Object)
	in := fmt.Sprintf("for resource [%s] in supply chain [%s]", resource.Name, r.blueprint.Name)
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
	var of func(values) (map[string]any, bool)
	family := ""
	switch s.resource.TemplateRef.Kind {
	case v1alpha1.KindClusterSourceTemplate:
		declared, of, family = s.resource.Sources, sourceValue, "sources"
	case v1alpha1.KindClusterImageTemplate:
		declared, of, family = s.resource.Images, imageValue, "images"
	case v1alpha1.KindClusterConfigTemplate:
		declared, of, family = s.resource.Configs, configValue, "configs"
	case v1alpha1.KindClusterDeploymentTemplate:
		s.problem = r.passThroughProblem(s.resource.Name, s.passThrough, errNoObject)
		return
	default: // it has no output to pass anything to
		return
	}
	for _, input := range declared {
		produced := r.produced[input.Resource]
		if _, there := of(produced); there && input.Name == s.passThrough {
			s.produced, r.produced[s.resource.Name] = produced, produced
			r.secret[s.resource.Name] = r.secret[input.Resource]
			return
		}
	}
	s.problem = r.passThroughProblem(s.resource.Name, s.passThrough, fmt.Errorf("input [%s] not found in %s", s.passThrough, family))
}

func (r *run) apply(ctx context.Context, s *step, object *unstructured.Unstructured) {
	name := cmp.Or(object.GetName(), object.GetGenerateName())
	if object.GetName() != "" {
		identity := fmt.Sprintf("%s %s", object.GroupVersionKind().GroupKind(), name)
		if other, taken := r.stamped[identity]; taken {
			s.problem = r.applyProblem(s.resource.Name, object.GetNamespace(), name,
				fmt.Errorf("resource [%s] of the supply chain stamps the same object", other))
			s.problem.retry = nil
			return
		}
		r.stamped[identity] = s.resource.Name
	}
	live, healthy, err := r.write(ctx, s, object)
	if err != nil {
		s.problem = r.applyProblem(s.resource.Name, object.GetNamespace(), name, err)
		return
	}
	r.result.Lifecycles[s.resource.Name] = s.template.lifecycle()
	s.object, s.readFrom = live, healthy
	s.ref = &v1alpha1.StampedRef{APIVersion: live.GetAPIVersion(), Kind: live.GetKind(), Namespace: live.GetNamespace(), Name: live.GetName(), Resource: unknownResource}
	if resource, err := r.cluster.Resource(live.GroupVersionKind()); err == nil {
		s.ref.Resource, s.note, s.account = resource.Name, resource.Note, resource.Account
	}
}

// write brings object to the cluster in the way of the template's lifecycle. It returns what is there then, and that of
// which to read outputs.
func (r *run) write(ctx context.Context, s *step, object *unstructured.Unstructured) (live, healthy *unstructured.Unstructured, err error) {
	if s.template.lifecycle() == v1alpha1.LifecycleMutable {
		live, err = r.cluster.Apply(ctx, object)
		return live, live, err
	}
	all, err := r.cluster.Generate(ctx, Generation{
		Object: object, Siblings: siblingLabels(r.labels(s.resource, s.template)),
		Retention: s.template.retention(), Health: s.template.generationHealth,
	})
	if err != nil {
		return nil, nil, err
	}
	for _, generation := range all { // the newest first
		if s.template.generationHealth(generation) == metav1.ConditionTrue {
			return all[0], generation, nil
		}
	}
	return all[0], nil, nil
}

// read takes outputs and health from what is stamped.
func (r *run) read(s *step) {
	produced, missing := r.outputs(s)
	s.health = health(s.template, s.object, len(produced))
	if missing != nil {
		s.problem = missing.explained(*s.ref, s.health.Status)
		return
	}
	s.produced = produced
	r.produced[s.resource.Name] = produced
	if s.template.Deployment != nil {
		r.secret[s.resource.Name] = r.secret[s.resource.Deployment.Resource] // whose values these are
	} else {
		r.secret[s.resource.Name] = s.object.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Secret")
	}
}

// outputs returns what a resource gives to others, or what is missing for that.
func (r *run) outputs(s *step) (values, *gap) {
	if s.template.Deployment == nil {
		return readOutputs(s.template, s.readFrom)
	}
	if missing := deployed(s.resource.Name, s.template.Deployment, s.readFrom); missing != nil {
		return nil, missing
	}
	source, ok := r.deployment(s.resource)
	if !ok {
		return nil, &gap{path: noPath}
	}
	return source, nil
}
