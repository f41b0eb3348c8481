package realize

import (
	"slipway.dev/slipway/api/carto/v1alpha1"
)

// order returns the places of resources such that each comes after those whose outputs it takes, and otherwise as
// listed. Resources that wait for themselves, directly or through others, come last; stuck holds their places and
// those of the resources behind them. References to resources that do not exist are passed over: such a resource
// fails when it is stamped.
func order(resources []Link) (ordered []int, stuck map[int]bool) {
	places := map[string]int{}
	for i, resource := range resources {
		places[resource.Name] = i
	}
	done := make([]bool, len(resources))
	free := func(i int) bool {
		for _, input := range inputsOf(resources[i]) {
			if place, ok := places[input.Resource]; ok && !done[place] {
				return false
			}
		}
		return true
	}
	for progress := true; progress; {
		progress = false
		for i := range resources {
			if !done[i] && free(i) {
				done[i], progress = true, true
				ordered = append(ordered, i)
				break // from the top again: what stands first in the list goes first
			}
		}
	}
	stuck = map[int]bool{}
	for i := range resources {
		if !done[i] {
			stuck[i] = true
			ordered = append(ordered, i)
		}
	}
	return ordered, stuck
}

// inputsOf returns the inputs of a resource: sources, images, deployment, configs.
func inputsOf(resource Link) []v1alpha1.ResourceReference {
	var inputs []v1alpha1.ResourceReference
	inputs = append(inputs, resource.Sources...)
	inputs = append(inputs, resource.Images...)
	if resource.Deployment != nil {
		inputs = append(inputs, v1alpha1.ResourceReference{Resource: resource.Deployment.Resource})
	}
	return append(inputs, resource.Configs...)
}
