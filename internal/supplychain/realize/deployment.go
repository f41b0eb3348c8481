package realize

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

const generationPath = "metadata.generation"

// errNoObject : there is no object to read.
var errNoObject = errors.New("failed to evaluate path of empty object")

// deployed returns what is missing until object has deployed what it should; nil where nothing is. An object that is
// nil has not deployed anything.
func deployed(resource string, rule *v1alpha1.DeploymentSpec, object *unstructured.Unstructured) *gap {
	switch {
	case object == nil && rule.ObservedCompletion != nil:
		return &gap{path: generationPath}
	case object == nil && len(rule.ObservedMatches) > 0:
		return notMet(resource, fmt.Errorf("could not find value on input [%s]: %w", rule.ObservedMatches[0].Input, errNoObject))
	case object == nil:
		return notMet(resource, errNoObject)
	case rule.ObservedCompletion != nil:
		return completed(resource, rule.ObservedCompletion, object)
	default:
		return matched(resource, rule.ObservedMatches, object)
	}
}

func notMet(resource string, why error) *gap {
	return &gap{problem: &problem{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonConditionNotMet,
		message: fmt.Sprintf("resource [%s] condition not met: %v", resource, why)}}
}

// completed : the object must speak of its present generation before what it says counts.
func completed(resource string, rule *v1alpha1.ObservedCompletion, object *unstructured.Unstructured) *gap {
	generation, err := template.Lookup(generationPath, object.Object)
	if err != nil {
		return &gap{path: generationPath}
	}
	observed, err := template.Lookup("status.observedGeneration", object.Object)
	if err != nil {
		return &gap{problem: &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonTemplateStampFailure,
			message: fmt.Sprintf("resource [%s] cannot satisfy observedCompletion without observedGeneration in object status", resource)}}
	}
	if !same(generation, observed) {
		return notMet(resource, fmt.Errorf("status.observedGeneration does not equal metadata.generation: %v != %v", observed, generation))
	}
	if failed := rule.Failed; failed != nil {
		if value, err := template.Lookup(failed.Key, object.Object); err == nil && value == failed.Value {
			return &gap{problem: &problem{status: metav1.ConditionFalse, reason: v1alpha1.ReasonFailedConditionMet,
				message: fmt.Sprintf("resource [%s] failed condition met: deployment failure condition [%s] was: %v", resource, failed.Key, value)}}
		}
	}
	value, err := template.Lookup(rule.Succeeded.Key, object.Object)
	if err != nil {
		return notMet(resource, fmt.Errorf("failed to evaluate succeededCondition.Key [%s]: %w", rule.Succeeded.Key, err))
	}
	if value != rule.Succeeded.Value {
		return notMet(resource, fmt.Errorf("deployment success condition [%s] was: %v, expected: %s", rule.Succeeded.Key, value, rule.Succeeded.Value))
	}
	return nil
}

// matched : every pair must be equal; none at all is.
func matched(resource string, pairs []v1alpha1.ObservedMatch, object *unstructured.Unstructured) *gap {
	for _, pair := range pairs {
		input, err := template.Lookup(pair.Input, object.Object)
		if err != nil {
			return notMet(resource, fmt.Errorf("could not find value on input [%s]: %w", pair.Input, err))
		}
		output, err := template.Lookup(pair.Output, object.Object)
		if err != nil {
			return notMet(resource, fmt.Errorf("could not find value on output [%s]: %w", pair.Output, err))
		}
		if !same(input, output) {
			return notMet(resource, fmt.Errorf("input [%s] and output [%s] do not match: %v != %v", pair.Input, pair.Output, input, output))
		}
	}
	return nil
}

// same compares JSON values, for which 1 and 1.0 are one number.
func same(a, b any) bool {
	return equality.Semantic.DeepEqual(floats(a), floats(b))
}
