package realize

import (
	"slices"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// order returns the places of resources such that each comes after those whose outputs it takes, and otherwise as
// listed. Resources that wait for themselves, directly or through others, come before those that wait for them; stuck
// holds their places. References to resources that do not exist are passed over: such a resource fails when it is
// stamped.
func order(resources []Link) (ordered []int, stuck map[int]bool) {
	needs := needed(resources)
	stuck = map[int]bool{}
	done := make([]bool, len(resources))
	take := func(i int) {
		done[i] = true
		ordered = append(ordered, i)
	}
	for len(ordered) < len(resources) {
		// From the top each time: what stands first in the list goes first.
		next := slices.IndexFunc(needs, func(of need) bool {
			return !done[of.place] && !slices.ContainsFunc(of.of, func(other int) bool { return !done[other] })
		})
		if next >= 0 {
			take(next)
			continue
		}
		for i := range resources {
			if !done[i] && reaches(needs, i, i, map[int]bool{}) {
				stuck[i] = true
			}
		}
		for i := range resources {
			if stuck[i] {
				take(i)
			}
		}
	}
	return ordered, stuck
}

// need says which resources give the one at a place its inputs.
type need struct {
	place int
	of    []int
}

func needed(resources []Link) []need {
	places := map[string]int{}
	for i, resource := range resources {
		places[resource.Name] = i
	}
	needs := make([]need, len(resources))
	for i := range resources {
		needs[i].place = i
		for _, input := range inputsOf(resources[i]) {
			if place, ok := places[input.Resource]; ok {
				needs[i].of = append(needs[i].of, place)
			}
		}
	}
	return needs
}

// reaches says whether the inputs of one resource, or theirs, lead to another.
func reaches(needs []need, from, to int, seen map[int]bool) bool {
	for _, other := range needs[from].of {
		if other == to {
			return true
		}
		if !seen[other] {
			seen[other] = true
			if reaches(needs, other, to, seen) {
				return true
			}
		}
	}
	return false
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
