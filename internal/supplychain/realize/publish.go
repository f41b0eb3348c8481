package realize

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// hiddenPreview is what is shown of a value that is not to be shown.
const hiddenPreview = "(hidden)\n"

// publish turns a step into its status and notes the events. A step that stamped nothing keeps what was published of
// the object before, which is still there; only its conditions are new.
func (r *run) publish(s *step) v1alpha1.ResourceStatus {
	previous := r.previous(s.resource.Name)
	status := v1alpha1.ResourceStatus{Name: s.resource.Name}
	passed := s.passThrough != ""
	if !passed && s.object == nil && previous != nil {
		status.StampedRef, status.TemplateRef = previous.StampedRef, previous.TemplateRef
		status.Inputs, status.Outputs = previous.Inputs, previous.Outputs
		status.ServiceAccountRef = previous.ServiceAccountRef
	} else {
		r.describe(&status, s, previous)
	}
	conditions := []metav1.Condition{submitted(s)}
	if !passed {
		conditions = append(conditions, r.healthOf(s, previous))
	}
	var before []metav1.Condition
	if previous != nil {
		before = previous.Conditions
	}
	status.Conditions = Conditions(conditions, before, r.now)
	r.note(s, &status, previous)
	return status
}

func (r *run) previous(name string) *v1alpha1.ResourceStatus {
	for i := range r.owner.Resources {
		if r.owner.Resources[i].Name == name {
			return &r.owner.Resources[i]
		}
	}
	return nil
}

func (r *run) describe(status *v1alpha1.ResourceStatus, s *step, previous *v1alpha1.ResourceStatus) {
	status.StampedRef, status.ServiceAccountRef = s.ref, s.account
	if s.template != nil {
		status.TemplateRef = &v1alpha1.ResourceTemplateRef{APIVersion: v1alpha1.GroupVersion.String(), Kind: s.template.Kind, Name: s.template.Name}
	}
	for _, input := range inputsOf(s.resource) {
		status.Inputs = append(status.Inputs, v1alpha1.Input{Name: input.Resource})
	}
	var before []v1alpha1.Output
	if previous != nil {
		before = previous.Outputs
	}
	outputs, err := outputStatus([]string{outputURL, outputRevision, outputImage, outputConfig}, s.produced, before, r.now)
	if err != nil && s.problem == nil {
		s.problem = &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonUnknownError, message: err.Error()}
	}
	status.Outputs = outputs
	if r.owner.HideSecrets && r.secret[s.resource.Name] {
		for i := range outputs {
			outputs[i].Preview = hiddenPreview
		}
	}
}

func submitted(s *step) metav1.Condition {
	if s.problem != nil {
		condition := s.problem.condition(v1alpha1.ConditionResourceSubmitted)
		if s.note != "" {
			condition.Message += " (" + s.note + ")"
		}
		return condition
	}
	reason := resourceSubmissionComplete
	if s.passThrough != "" {
		reason = v1alpha1.ReasonPassThrough
	}
	return metav1.Condition{Type: v1alpha1.ConditionResourceSubmitted, Status: metav1.ConditionTrue, Reason: reason, Message: s.note}
}

func (r *run) healthOf(s *step, previous *v1alpha1.ResourceStatus) metav1.Condition {
	if s.object != nil {
		return s.health
	}
	if previous != nil {
		if before := Condition(previous.Conditions, v1alpha1.ConditionHealthy); before != nil {
			return *before
		}
	}
	return health(s.template, nil, 0)
}

// note compares what is published with what was, and notes the events.
func (r *run) note(s *step, status, previous *v1alpha1.ResourceStatus) {
	if previous == nil {
		previous = &v1alpha1.ResourceStatus{}
	}
	where := "<nil>"
	if status.StampedRef != nil {
		where = fmt.Sprintf("%s/%s", status.StampedRef.Resource, status.StampedRef.Name)
	}
	if !sameOutputs(status.Outputs, previous.Outputs) {
		message := fmt.Sprintf("[%s] found a new output in [%s]", s.resource.Name, where)
		if s.passThrough != "" {
			message = fmt.Sprintf("[%s] passed through a new output", s.resource.Name)
		}
		r.result.Events = append(r.result.Events, Event{Reason: EventOutputChanged, Message: message})
	}
	now, before := healthStatus(status.Conditions), healthStatus(previous.Conditions)
	if s.passThrough == "" && now != before {
		r.result.Events = append(r.result.Events, Event{Reason: EventHealthyStatusChanged,
			Message: fmt.Sprintf("[%s] found healthy status in [%s] changed to [%s]", s.resource.Name, where, now)})
	}
}

func healthStatus(conditions []metav1.Condition) metav1.ConditionStatus {
	if c := Condition(conditions, v1alpha1.ConditionHealthy); c != nil {
		return c.Status
	}
	return metav1.ConditionUnknown
}
