package realize

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// problem is why a resource is not realised, as its conditions tell it.
type problem struct {
	status  metav1.ConditionStatus
	reason  string
	message string
	// retry is the error for which trying again, without any change, may help; else nil.
	retry error
	// forbidden : the API server refuses the owner's identity. Trying again helps once its roles change.
	forbidden bool
}

func (p *problem) condition(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: p.status, Reason: p.reason, Message: p.message}
}

// The texts are Cartographer's: tools look for them.

func (r *run) templateProblem(resource, kind, name string, err error) *problem {
	p := &problem{status: metav1.ConditionFalse}
	if apierrors.IsNotFound(err) {
		p.reason = v1alpha1.ReasonUnknownError
		p.message = fmt.Sprintf("failed to get cluster template [{Kind:%s Name:%s}]: resource does not match a known template", kind, name)
		return p // the template's appearance wakes the owner
	}
	p.reason = v1alpha1.ReasonTemplateRetrievalFailure
	p.retry = fmt.Errorf("unable to get template [%s] for resource [%s] in supply chain [%s]: %w", name, resource, r.blueprint.Name, err)
	p.message = p.retry.Error()
	return p
}

func (r *run) stampProblem(resource string, template *Template, err error) *problem {
	return &problem{
		status: metav1.ConditionFalse, reason: v1alpha1.ReasonTemplateStampFailure,
		message: fmt.Sprintf("unable to stamp object for resource [%s] for template [%s/%s] in supply chain [%s]: %v",
			resource, template.Kind, template.Name, r.blueprint.Name, err),
	}
}

func (r *run) applyProblem(resource, namespace, name string, err error) *problem {
	err = fmt.Errorf("unable to apply object [%s/%s] for resource [%s] in supply chain [%s]: %w", namespace, name, resource, r.blueprint.Name, err)
	p := &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonTemplateRejected, message: err.Error()}
	if apierrors.IsForbidden(err) {
		p.forbidden = true
	} else {
		p.retry = err
	}
	return p
}

func (r *run) passThroughProblem(resource, input string, err error) *problem {
	return &problem{
		status: metav1.ConditionFalse, reason: v1alpha1.ReasonPassThrough,
		message: fmt.Sprintf("unable to retrieve outputs from pass through [%s] for resource [%s] in supply chain [%s]: %v",
			input, resource, r.blueprint.Name, err),
	}
}

// noPath stands for a path where what is missing has none.
const noPath = "<no jsonpath context>"

// gap is why a resource has no outputs although its object is there: a path that leads nowhere in it, or a problem.
type gap struct {
	path    string
	problem *problem
}

// explained returns the problem, which depends on the health of the object.
func (g *gap) explained(object v1alpha1.StampedRef, health metav1.ConditionStatus) *problem {
	if g.problem != nil {
		return g.problem
	}
	return outputProblem(g.path, object, health)
}

// outputProblem: whose fault a missing output is depends on the health of the object.
func outputProblem(path string, object v1alpha1.StampedRef, health metav1.ConditionStatus) *problem {
	where := fmt.Sprintf("[%s/%s]", object.Resource, object.Name)
	if object.Namespace != "" {
		where += fmt.Sprintf(" in namespace [%s]", object.Namespace)
	}
	p := &problem{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonMissingValueAtPath}
	switch health {
	case metav1.ConditionTrue:
		p.message = fmt.Sprintf("cannot read value [%s] from healthy object %s, contact Platform Eng", path, where)
	case metav1.ConditionFalse:
		p.message = fmt.Sprintf("cannot read value [%s] from unhealthy object %s, examine object, particularly whether it is receiving proper inputs", path, where)
	default:
		p.message = fmt.Sprintf("waiting to read value [%s] from object %s", path, where)
	}
	return p
}
