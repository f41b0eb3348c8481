// Package selector decides which of several selectors fits an object best: which supply chain is for a workload, and
// which option of a resource. It compares; finding the candidates is up to its callers.
package selector

import (
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// Selector asks for labels and fields. All of it must hold.
type Selector struct {
	MatchLabels      map[string]string
	MatchExpressions []metav1.LabelSelectorRequirement
	MatchFields      []v1alpha1.FieldSelectorRequirement
}

// OfChain returns the selector of a supply chain.
func OfChain(chain *v1alpha1.ClusterSupplyChain) Selector {
	return Selector{
		MatchLabels:      chain.Spec.Selector,
		MatchExpressions: chain.Spec.SelectorMatchExpressions,
		MatchFields:      chain.Spec.SelectorMatchFields,
	}
}

// OfOption returns the selector of a template option.
func OfOption(option v1alpha1.TemplateOption) Selector {
	return Selector{
		MatchLabels:      option.Selector.MatchLabels,
		MatchExpressions: option.Selector.MatchExpressions,
		MatchFields:      option.Selector.MatchFields,
	}
}

// Bad is a selector that cannot be evaluated.
type Bad struct {
	// Index is its place among the candidates.
	Index int
	Err   error
}

// Best returns the places of the candidates that fit object and ask the most; several if they ask equally much. A
// selector that asks nothing fits nothing. One that cannot be evaluated is left out and returned in bad: it must not
// spoil the others.
func Best(candidates []Selector, object metav1.Object) (best []int, bad []Bad) {
	highest := 1
	for i, candidate := range candidates {
		fits, err := candidate.Fits(object)
		switch asked := candidate.asks(); {
		case err != nil:
			bad = append(bad, Bad{Index: i, Err: err})
		case !fits || asked < highest:
		case asked > highest:
			highest, best = asked, []int{i}
		default:
			best = append(best, i)
		}
	}
	return best, bad
}

// asks counts the requirements.
func (s Selector) asks() int {
	return len(s.MatchLabels) + len(s.MatchExpressions) + len(s.MatchFields)
}

// Fits says whether all that the selector asks holds for object.
func (s Selector) Fits(object metav1.Object) (bool, error) {
	wanted, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchLabels: s.MatchLabels, MatchExpressions: s.MatchExpressions})
	if err != nil {
		return false, fmt.Errorf("selector labels or matchExpressions are not valid: %w", err)
	}
	if !wanted.Matches(labels.Set(object.GetLabels())) {
		return false, nil
	}
	for _, field := range s.MatchFields {
		fits, err := Field(field, object)
		if err != nil {
			return false, fmt.Errorf("failed to evaluate selector matchFields: unable to match field requirement with key [%s] operator [%s] values [%v]: %w",
				field.Key, field.Operator, field.Values, err)
		}
		if !fits {
			return false, nil
		}
	}
	return true, nil
}

// Field says whether a requirement holds for a field of object, which may be a struct or plain JSON. A path that
// leads nowhere satisfies DoesNotExist alone; null counts as not existing; In and NotIn look at strings alone.
func Field(requirement v1alpha1.FieldSelectorRequirement, object any) (bool, error) {
	value, err := template.Lookup(requirement.Key, object)
	var missing *template.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return false, err
	}
	text, isText := value.(string)
	listed := isText && slices.Contains(requirement.Values, text)
	switch requirement.Operator {
	case v1alpha1.FieldIn:
		return missing == nil && listed, nil
	case v1alpha1.FieldNotIn:
		return missing == nil && !listed, nil
	case v1alpha1.FieldExists:
		return missing == nil && value != nil, nil
	case v1alpha1.FieldDoesNotExist:
		return value == nil, nil
	default:
		return false, fmt.Errorf("invalid operator %s for field selector", requirement.Operator)
	}
}
