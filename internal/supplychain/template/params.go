package template

import (
	"cmp"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// ParamSources are those who may set the parameters of a template, the later over the earlier.
type ParamSources struct {
	Template []v1alpha1.TemplateParam
	// Chain are those of the supply chain or delivery, Resource those of its resource.
	Chain    []v1alpha1.BlueprintParam
	Resource []v1alpha1.BlueprintParam
	Owner    []v1alpha1.OwnerParam
	// ChainKind and OwnerKind are what errors call the two; empty: ClusterSupplyChain and Workload.
	ChainKind, OwnerKind string
}

// Params decides what each parameter is, as plain JSON that paths can go into. The template's defaults come first,
// then the chain's entries, then the resource's; the owner may set whatever is left open: a value (and not a default)
// of the chain or resource closes a parameter, and a default of the resource opens it again. Nobody need declare a
// parameter that another sets. An entry of chain or resource without value and default is an error.
func Params(from ParamSources) (map[string]any, error) {
	params := map[string]any{}
	closed := map[string]bool{}
	for _, param := range from.Template {
		value, err := decode(param.DefaultValue.Raw)
		if err != nil {
			return nil, fmt.Errorf("reading param [%s] of the template: %w", param.Name, err)
		}
		params[param.Name] = value
	}
	for _, list := range []struct {
		of     string
		params []v1alpha1.BlueprintParam
	}{{cmp.Or(from.ChainKind, v1alpha1.KindClusterSupplyChain), from.Chain}, {"resource", from.Resource}} {
		for _, param := range list.params {
			value, err := blueprintValue(param, list.of)
			if err != nil {
				return nil, err
			}
			params[param.Name] = value
			closed[param.Name] = param.Value != nil
		}
	}
	for _, param := range from.Owner {
		if closed[param.Name] {
			continue
		}
		value, err := decode(param.Value.Raw)
		if err != nil {
			return nil, fmt.Errorf("reading param [%s] of the %s: %w", param.Name, cmp.Or(from.OwnerKind, v1alpha1.KindWorkload), err)
		}
		params[param.Name] = value
	}
	return params, nil
}

func blueprintValue(param v1alpha1.BlueprintParam, of string) (any, error) {
	var raw *apiextensionsv1.JSON
	switch {
	case param.Value != nil:
		raw = param.Value
	case param.DefaultValue != nil:
		raw = param.DefaultValue
	default:
		return nil, fmt.Errorf("param [%s] is invalid: must set exactly one of value and default", param.Name)
	}
	value, err := decode(raw.Raw)
	if err != nil {
		return nil, fmt.Errorf("reading param [%s] of the %s: %w", param.Name, of, err)
	}
	return value, nil
}
