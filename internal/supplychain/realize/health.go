package realize

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/selector"
	"slipway.dev/slipway/internal/supplychain/template"
)

// health returns the condition Healthy of a resource. object is nil where nothing is stamped; used is nil where no
// template could be read.
func health(used *Template, object *unstructured.Unstructured, outputs int) metav1.Condition {
	if used != nil && used.healthRule() != nil {
		return ruledHealth(used.healthRule(), object)
	}
	switch {
	case outputs > 0:
		return healthy(metav1.ConditionTrue, v1alpha1.ReasonOutputsAvailable, "")
	case used != nil && used.Kind == v1alpha1.KindClusterTemplate && object != nil:
		return healthy(metav1.ConditionTrue, v1alpha1.ReasonAlwaysHealthy, "")
	case used != nil && used.Kind == v1alpha1.KindClusterTemplate:
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoStampedObject, "")
	case used == nil:
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoResource, "")
	default:
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonOutputNotAvailable, "")
	}
}

func healthy(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionHealthy, Status: status, Reason: reason, Message: message}
}

func ruledHealth(rule *v1alpha1.HealthRule, object *unstructured.Unstructured) metav1.Condition {
	switch {
	case rule.AlwaysHealthy != nil && object == nil:
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoStampedObject, "")
	case rule.AlwaysHealthy != nil:
		return healthy(metav1.ConditionTrue, v1alpha1.ReasonAlwaysHealthy, "")
	case object == nil:
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonUnknown, "")
	case rule.SingleConditionType != "":
		return singleCondition(rule.SingleConditionType, object)
	case rule.MultiMatch != nil:
		return multiMatch(rule.MultiMatch, object)
	default: // a rule without a rule, which admission would have refused
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonUnknown, "the template's healthRule is empty")
	}
}

func singleCondition(kind string, object *unstructured.Unstructured) metav1.Condition {
	reason := kind + "Condition"
	found := Condition(statusConditions(object), kind)
	if found == nil {
		return healthy(metav1.ConditionUnknown, reason, fmt.Sprintf("condition with type [%s] not found on resource status", kind))
	}
	if spoken := found.ObservedGeneration; spoken != 0 && spoken < object.GetGeneration() {
		// Else a stage that was just given something new would count as done with it.
		return healthy(metav1.ConditionUnknown, reason, fmt.Sprintf("condition with type [%s] is of generation %d, and the resource is of generation %d", kind, spoken, object.GetGeneration()))
	}
	switch found.Status {
	case metav1.ConditionTrue, metav1.ConditionFalse:
		return healthy(found.Status, reason, found.Message)
	default:
		return healthy(metav1.ConditionUnknown, reason, found.Message)
	}
}

// multiMatch: one sign of sickness is enough; health needs them all.
func multiMatch(rule *v1alpha1.MultiMatchHealthRule, object *unstructured.Unstructured) metav1.Condition {
	conditions := statusConditions(object)
	for _, wanted := range rule.Unhealthy.MatchConditions {
		if message, ok := matchCondition(wanted, conditions); ok {
			return healthy(metav1.ConditionFalse, v1alpha1.ReasonMatchedCondition, message)
		}
	}
	for _, wanted := range rule.Unhealthy.MatchFields {
		if message, ok := matchField(wanted, object); ok {
			return healthy(metav1.ConditionFalse, v1alpha1.ReasonMatchedField, message)
		}
	}
	reason, first := "", ""
	for _, wanted := range rule.Healthy.MatchConditions {
		message, ok := matchCondition(wanted, conditions)
		if !ok {
			return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoMatchesFulfilled, "")
		}
		if reason == "" {
			reason, first = v1alpha1.ReasonMatchedCondition, message
		}
	}
	for _, wanted := range rule.Healthy.MatchFields {
		message, ok := matchField(wanted, object)
		if !ok {
			return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoMatchesFulfilled, "")
		}
		if reason == "" {
			reason, first = v1alpha1.ReasonMatchedField, message
		}
	}
	if reason == "" { // nothing is asked, which admission would have refused
		return healthy(metav1.ConditionUnknown, v1alpha1.ReasonNoMatchesFulfilled, "")
	}
	return healthy(metav1.ConditionTrue, reason, first)
}

func matchCondition(wanted v1alpha1.ConditionRequirement, conditions []metav1.Condition) (message string, ok bool) {
	found := Condition(conditions, wanted.Type)
	if found == nil || string(found.Status) != wanted.Status {
		return "", false
	}
	return fmt.Sprintf("condition status: %s, message: %s", found.Status, found.Message), true
}

func matchField(wanted v1alpha1.HealthMatchFieldSelectorRequirement, object *unstructured.Unstructured) (message string, ok bool) {
	if fits, err := selector.Field(wanted.FieldSelectorRequirement, object.Object); err != nil || !fits {
		return "", false
	}
	value := any("<error retrieving field value>")
	if found, err := template.Lookup(wanted.Key, object.Object); err == nil {
		value = found
	}
	explanation := any(fmt.Sprintf("unknown, error retrieving message path [%s]", wanted.MessagePath))
	if found, err := template.Lookup(wanted.MessagePath, object.Object); err == nil {
		explanation = found
	}
	return fmt.Sprintf("field value: %v, message: %v", value, explanation), true
}

// statusConditions reads status.conditions; what does not look like conditions counts as none.
func statusConditions(object *unstructured.Unstructured) []metav1.Condition {
	list, found, err := unstructured.NestedFieldNoCopy(object.Object, "status", "conditions")
	if !found || err != nil {
		return nil
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	var conditions []metav1.Condition
	if err := json.Unmarshal(encoded, &conditions); err != nil {
		return nil
	}
	return conditions
}

// resourcesHealthy sums up the health of all resources: the last False one's message, else the first Unknown one's.
func resourcesHealthy(resources []v1alpha1.ResourceStatus) metav1.Condition {
	sum := metav1.Condition{Type: v1alpha1.ConditionResourcesHealthy, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonHealthyConditionRule}
	any := false
	for _, resource := range resources {
		c := Condition(resource.Conditions, v1alpha1.ConditionHealthy)
		if c == nil {
			continue // passed through
		}
		if !any {
			any, sum.Status = true, metav1.ConditionTrue
		}
		switch {
		case c.Status == metav1.ConditionFalse:
			sum.Status, sum.Message = c.Status, c.Message
		case c.Status != metav1.ConditionTrue && sum.Status == metav1.ConditionTrue:
			sum.Status, sum.Message = metav1.ConditionUnknown, c.Message
		}
	}
	return sum
}

// ObjectCondition returns what an object says of itself in its status.conditions, or nil.
func ObjectCondition(object *unstructured.Unstructured, kind string) *metav1.Condition {
	return Condition(statusConditions(object), kind)
}
