package admission

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// fieldKeys are the fields of an owner that a selector may look at.
type fieldKeys struct {
	exact    []string
	prefixes []string
}

var workloadKeys = fieldKeys{
	exact: []string{
		"spec.source",
		"spec.source.git", "spec.source.git.url",
		"spec.source.git.ref", "spec.source.git.ref.branch", "spec.source.git.ref.tag", "spec.source.git.ref.commit",
		"spec.source.image", "spec.source.subPath",
		"spec.build", "spec.image", "spec.serviceAccountName",
	},
	prefixes: []string{"spec.params", "spec.build.env", "spec.env", "spec.resources", "spec.serviceClaims", "metadata"},
}

var deliverableKeys = fieldKeys{
	exact: []string{
		"spec.source",
		"spec.source.git", "spec.source.git.url",
		"spec.source.git.ref", "spec.source.git.ref.branch", "spec.source.git.ref.tag", "spec.source.git.ref.commit",
		"spec.source.image", "spec.source.subPath",
		"spec.serviceAccountName",
	},
	prefixes: []string{"spec.params", "metadata"},
}

func (k fieldKeys) check(requirements []v1alpha1.FieldSelectorRequirement) error {
	for _, requirement := range requirements {
		if err := k.checkOne(requirement); err != nil {
			return err
		}
	}
	return nil
}

func (k fieldKeys) checkOne(requirement v1alpha1.FieldSelectorRequirement) error {
	switch requirement.Operator {
	case v1alpha1.FieldExists, v1alpha1.FieldDoesNotExist:
		if len(requirement.Values) > 0 {
			return fmt.Errorf("cannot specify values with operator [%s]", requirement.Operator)
		}
	case v1alpha1.FieldIn, v1alpha1.FieldNotIn:
		if len(requirement.Values) == 0 {
			return fmt.Errorf("must specify values with operator [%s]", requirement.Operator)
		}
	default:
		return fmt.Errorf("operator [%s] is invalid", requirement.Operator)
	}
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(requirement.Key, prefix) }
	if !slices.Contains(k.exact, requirement.Key) && !slices.ContainsFunc(k.prefixes, hasPrefix) {
		return fmt.Errorf("requirement key [%s] is not a valid path", requirement.Key)
	}
	// The key is read as a text that may hold {paths}, as Cartographer does: only braces can be wrong in it.
	if err := jsonpath.New("").Parse(requirement.Key); err != nil {
		return fmt.Errorf("invalid jsonpath for key [%s]: %w", requirement.Key, err)
	}
	return nil
}
