package lint

import (
	"encoding/json"
	"errors"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/embedded"
)

// schemas are those of our kinds, by kind.
type schemas map[string]*spec.Schema

func readSchemas() (schemas, error) {
	files, err := embedded.CRDs()
	if err != nil {
		return nil, fmt.Errorf("reading the definitions of the kinds: %w", err)
	}
	all := schemas{}
	for _, file := range files {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(file, &definition); err != nil {
			return nil, fmt.Errorf("reading the definition of a kind: %w", err)
		}
		for _, version := range definition.Spec.Versions {
			if version.Schema == nil {
				continue
			}
			encoded, err := json.Marshal(version.Schema.OpenAPIV3Schema)
			if err != nil {
				return nil, fmt.Errorf("reading the schema of %s: %w", definition.Spec.Names.Kind, err)
			}
			schema := &spec.Schema{}
			if err := json.Unmarshal(encoded, schema); err != nil {
				return nil, fmt.Errorf("reading the schema of %s: %w", definition.Spec.Names.Kind, err)
			}
			all[definition.Spec.Names.Kind] = schema
		}
	}
	return all, nil
}

// check returns what the API server would refuse because of the schema.
func (s schemas) check(document []byte) []error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return []error{err}
	}
	var object map[string]any
	if err := yaml.Unmarshal(document, &object); err != nil {
		return []error{err}
	}
	err := validate.AgainstSchema(s[kind.Kind], object, strfmt.Default)
	var several *openapierrors.CompositeError
	if errors.As(err, &several) {
		return several.Errors
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
