package admission

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

func templateSpec(spec v1alpha1.TemplateSpec) error {
	hasTemplate := spec.Template != nil
	switch {
	case !hasTemplate && spec.Ytt == "":
		return errors.New("invalid template: must specify one of template or ytt, found neither")
	case hasTemplate && spec.Ytt != "":
		return errors.New("invalid template: must specify one of template or ytt, found both")
	case hasTemplate:
		if err := stampable(*spec.Template); err != nil {
			return fmt.Errorf("invalid template: %w", err)
		}
	}
	if spec.HealthRule != nil {
		if err := healthRule(*spec.HealthRule); err != nil {
			return err
		}
	}
	// Cartographer forgets this one where there is a health rule. The lifecycle is empty only where the API server's
	// default has not been filled in.
	mutable := spec.Lifecycle == v1alpha1.LifecycleMutable || spec.Lifecycle == ""
	if mutable && spec.RetentionPolicy != nil {
		return errors.New("invalid template: if lifecycle is mutable, no retention policy may be set")
	}
	return nil
}

// stampable checks that a template is an object that may be stamped next to its owner.
func stampable(template runtime.RawExtension) error {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(template.Raw); err != nil {
		return fmt.Errorf("failed to parse object: %w", err)
	}
	if namespace, _, _ := unstructured.NestedFieldNoCopy(object.Object, "metadata", "namespace"); namespace != nil && namespace != "" {
		return errors.New("template should not set metadata.namespace on the child object")
	}
	return nil
}

func healthRule(rule v1alpha1.HealthRule) error {
	count := 0
	for _, set := range []bool{rule.AlwaysHealthy != nil, rule.SingleConditionType != "", rule.MultiMatch != nil} {
		if set {
			count++
		}
	}
	switch {
	case count == 0:
		return errors.New("invalid health rule: must specify one of alwaysHealthy, singleConditionType or multiMatch, found neither")
	case count > 1:
		return errors.New("invalid health rule: must specify one of alwaysHealthy, singleConditionType or multiMatch, found multiple")
	case rule.MultiMatch != nil && emptyRule(rule.MultiMatch.Unhealthy):
		return errors.New("invalid multi match health rule: unhealthy rule has no matchFields or matchConditions")
	case rule.MultiMatch != nil && emptyRule(rule.MultiMatch.Healthy):
		return errors.New("invalid multi match health rule: healthy rule has no matchFields or matchConditions")
	}
	return nil
}

func emptyRule(rule v1alpha1.HealthMatchRule) bool {
	return len(rule.MatchFields)+len(rule.MatchConditions) == 0
}

func deploymentTemplate(spec v1alpha1.DeploymentSpec) error {
	if err := templateSpec(spec.TemplateSpec); err != nil {
		return err
	}
	if (spec.ObservedMatches == nil) == (spec.ObservedCompletion == nil) {
		return errors.New("invalid spec: must set exactly one of spec.ObservedMatches and spec.ObservedCompletion")
	}
	return nil
}

func runTemplate(spec v1alpha1.RunTemplateSpec) error {
	if err := stampable(spec.Template); err != nil {
		return fmt.Errorf("invalid template: %w", err)
	}
	var object any
	if err := json.Unmarshal(spec.Template.Raw, &object); err != nil {
		return fmt.Errorf("invalid template: failed to unmarshal: %w", err)
	}
	fields, isObject := object.(map[string]any)
	if !isObject {
		return fmt.Errorf("invalid template: not a map[string]interface{}; templated object: %+v", object)
	}
	if _, has := fields["spec"]; !has {
		return fmt.Errorf("invalid template: object must have a spec; templated object: %+v", object)
	}
	return nil
}
