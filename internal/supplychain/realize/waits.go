package realize

import (
	"fmt"
	"slices"
	"strings"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// waitsFor adds to why a template cannot be rendered which inputs its resource does not have: they are, most likely, the
// cause. The error's own text stays in front, where tools look for it.
func (r *run) waitsFor(resource Link, err error) error {
	var lacks []string
	lack := func(inputs []v1alpha1.ResourceReference, of func(values) (map[string]any, bool)) {
		for _, input := range inputs {
			if _, there := of(r.produced[input.Resource]); !there {
				lacks = append(lacks, r.lacks(input))
			}
		}
	}
	lack(resource.Sources, sourceValue)
	lack(resource.Images, imageValue)
	if resource.Deployment != nil {
		lack([]v1alpha1.ResourceReference{{Name: "deployment", Resource: resource.Deployment.Resource}}, sourceValue)
	}
	lack(resource.Configs, configValue)
	if len(lacks) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(lacks, "; "))
}

// lacks says why an input is not there: its resource has no outputs yet, has others, or is none of this blueprint.
func (r *run) lacks(input v1alpha1.ResourceReference) string {
	switch {
	case !slices.ContainsFunc(r.blueprint.Resources, func(other Link) bool { return other.Name == input.Resource }):
		return fmt.Sprintf("[%s] is provided by unknown resource [%s]", input.Name, input.Resource)
	case r.produced[input.Resource] != nil:
		return fmt.Sprintf("resource [%s] has no output for [%s]", input.Resource, input.Name)
	default:
		return fmt.Sprintf("waiting for resource [%s], which provides [%s]", input.Resource, input.Name)
	}
}
