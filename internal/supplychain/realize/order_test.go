package realize

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestOrder : each resource is given as its name and those of its inputs.
func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		given       []string
		want, stuck string
	}{
		"as listed":          {given: []string{"a", "b", "c"}, want: "a b c"},
		"listed well":        {given: []string{"a", "b a", "c a b"}, want: "a b c"},
		"listed backwards":   {given: []string{"c b", "b a", "a"}, want: "a b c"},
		"the list decides":   {given: []string{"d a", "x", "a", "y"}, want: "x a d y"},
		"unknown":            {given: []string{"b nobody", "a"}, want: "b a"},
		"itself":             {given: []string{"a a", "b"}, want: "b a", stuck: "a"},
		"behind a circle":    {given: []string{"d c", "a b", "b a", "c b", "e"}, want: "e a b c d", stuck: "a b"},
		"before a circle":    {given: []string{"a b x", "b a", "x y", "y"}, want: "y x a b", stuck: "a b"},
		"two circles":        {given: []string{"a b", "b a", "c d b", "d c", "e d"}, want: "a b c d e", stuck: "a b c d"},
		"a name that is two": {given: []string{"a", "a b", "b"}, want: "a b a"},
		"nothing":            {},
	} {
		resources := make([]Link, len(c.given))
		for i, given := range c.given {
			names := strings.Fields(given)
			resources[i].Name = names[0]
			for _, input := range names[1:] {
				resources[i].Images = append(resources[i].Images, v1alpha1.ResourceReference{Name: input, Resource: input})
			}
		}
		ordered, stuck := order(resources)
		called := func(places []int) string {
			var names []string
			for _, place := range places {
				names = append(names, resources[place].Name)
			}
			return strings.Join(names, " ")
		}
		if diff := cmp.Diff([]string{c.want, c.stuck}, []string{called(ordered), called(slices.Sorted(maps.Keys(stuck)))}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
