package admission

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// link is a resource of a supply chain or a delivery, as far as both have the same rules.
type link struct {
	name    string
	kind    string
	ref     string
	options []v1alpha1.TemplateOption
	params  []v1alpha1.BlueprintParam
	// passable holds, by kind of template, the inputs that a pass-through option can name. A kind that is not in it
	// cannot pass anything through.
	passable map[string][]v1alpha1.ResourceReference
}

// head checks what stands before the resources, and their params.
func head(selector v1alpha1.LegacySelector, params []v1alpha1.BlueprintParam, links []link, keys fieldKeys) error {
	if len(selector.Selector)+len(selector.SelectorMatchExpressions)+len(selector.SelectorMatchFields) == 0 {
		return errors.New("at least one selector, selectorMatchExpression, selectorMatchField must be specified")
	}
	if err := blueprintParams(params); err != nil {
		return err
	}
	for _, l := range links {
		if err := blueprintParams(l.params); err != nil {
			return fmt.Errorf("resource [%s] is invalid: %w", l.name, err)
		}
	}
	if err := labelSelector(selector.Selector, nil); err != nil {
		return fmt.Errorf("selector is not valid: %w", err)
	}
	if err := labelSelector(nil, selector.SelectorMatchExpressions); err != nil {
		return fmt.Errorf("selectorMatchExpressions are not valid: %w", err)
	}
	return keys.check(selector.SelectorMatchFields)
}

func blueprintParams(params []v1alpha1.BlueprintParam) error {
	for _, param := range params {
		if (param.Value == nil) == (param.DefaultValue == nil) {
			return fmt.Errorf("param [%s] is invalid: must set exactly one of value and default", param.Name)
		}
	}
	return nil
}

func labelSelector(labels map[string]string, expressions []metav1.LabelSelectorRequirement) error {
	_, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchLabels: labels, MatchExpressions: expressions})
	return err
}

// uniqueOptions checks that no resource has two options of one name. Two options that pass through have the same
// name, none, and so break this rule.
func uniqueOptions(links []link) error {
	for _, l := range links {
		seen := map[string]bool{}
		for _, option := range l.options {
			if seen[option.Name] {
				return fmt.Errorf("duplicate template name [%s] found in options for resource [%s]", option.Name, l.name)
			}
			seen[option.Name] = true
		}
	}
	return nil
}

// templateRefs checks each resource's reference to its template.
func templateRefs(links []link, keys fieldKeys) error {
	for _, l := range links {
		if err := l.templateRef(keys); err != nil {
			return fmt.Errorf("error validating resource [%s]: %w", l.name, err)
		}
	}
	return nil
}

func (l link) templateRef(keys fieldKeys) error {
	switch {
	case l.ref != "" && len(l.options) > 0:
		return errors.New("exactly one of templateRef.Name or templateRef.Options must be specified, found both")
	case l.ref != "":
		return nil
	case len(l.options) == 1:
		return errors.New("templateRef.Options must have more than one option")
	case len(l.options) == 0:
		return errors.New("exactly one of templateRef.Name or templateRef.Options must be specified, found neither")
	}
	passing := 0
	for _, option := range l.options {
		if option.PassThrough != "" {
			passing++
		}
	}
	if passing > 1 {
		return fmt.Errorf("cannot have more than one pass through option, found %d", passing)
	}
	for _, option := range l.options {
		if err := checkOption(option, keys); err != nil {
			return err
		}
	}
	if err := distinctSelectors(l.options); err != nil {
		return err
	}
	return l.passThrough()
}

func checkOption(option v1alpha1.TemplateOption, keys fieldKeys) error {
	switch {
	case option.Name != "" && option.PassThrough != "":
		return errors.New("exactly one of option.Name or option.PassThrough must be specified, found both")
	case option.Name == "" && option.PassThrough == "":
		return errors.New("exactly one of option.Name or option.PassThrough must be specified, found neither")
	}
	if err := optionSelector(option.Selector, keys); err != nil {
		return fmt.Errorf("error validating option [%s] selector: %w", optionName(option), err)
	}
	return nil
}

func optionSelector(selector v1alpha1.Selector, keys fieldKeys) error {
	if len(selector.MatchLabels)+len(selector.MatchExpressions)+len(selector.MatchFields) == 0 {
		return errors.New("at least one of matchLabels, matchExpressions or MatchFields must be specified")
	}
	if err := labelSelector(selector.MatchLabels, nil); err != nil {
		return fmt.Errorf("matchLabels are not valid: %w", err)
	}
	if err := labelSelector(nil, selector.MatchExpressions); err != nil {
		return fmt.Errorf("matchExpressions are not valid: %w", err)
	}
	return keys.check(selector.MatchFields)
}

// distinctSelectors checks that no two options ask for the same: neither would ever be the only one to fit.
func distinctSelectors(options []v1alpha1.TemplateOption) error {
	for i, one := range options {
		for _, other := range options[i+1:] {
			if one.Name != other.Name && reflect.DeepEqual(one.Selector, other.Selector) {
				return fmt.Errorf("duplicate selector found in options [%s, %s]", optionName(one), optionName(other))
			}
		}
	}
	return nil
}

// passThrough checks that an option that stamps nothing names an input of the family that the resource hands on.
func (l link) passThrough() error {
	for _, option := range l.options {
		if option.PassThrough == "" {
			continue
		}
		inputs, known := l.passable[l.kind]
		if !known {
			return fmt.Errorf("TemplateRef.Kind [%s] is not a known type", l.kind)
		}
		if !slices.ContainsFunc(inputs, func(input v1alpha1.ResourceReference) bool { return input.Name == option.PassThrough }) {
			return fmt.Errorf("pass through [%s] does not refer to a known input", option.PassThrough)
		}
	}
	return nil
}

// optionName is what messages call an option.
func optionName(option v1alpha1.TemplateOption) string {
	if option.Name == "" {
		return "passThrough"
	}
	return option.Name
}
