package convention

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

var turns = map[v1alpha1.Priority]int{v1alpha1.PriorityEarly: 0, v1alpha1.PriorityNormal: 1, "": 1, v1alpha1.PriorityLate: 2}

// choose returns the conventions that are for a PodIntent, in their order: by priority, then by name. An error names
// the convention whose selector is not valid.
func choose(all []v1alpha1.ClusterPodConvention, intent, template map[string]string) ([]v1alpha1.ClusterPodConvention, error) {
	var chosen []v1alpha1.ClusterPodConvention
	for _, convention := range all {
		if convention.Spec.Suspend || !convention.DeletionTimestamp.IsZero() {
			continue
		}
		target := template
		if convention.Spec.SelectorTarget == v1alpha1.TargetPodIntent {
			target = intent
		}
		fits, err := fitsAny(convention.Spec.Selectors, target)
		if err != nil {
			return nil, fmt.Errorf("filtering conventions failed: unable to convert label selector for ClusterPodConvention %q: %w", convention.Name, err)
		}
		if fits {
			chosen = append(chosen, convention)
		}
	}
	slices.SortFunc(chosen, func(a, b v1alpha1.ClusterPodConvention) int {
		return cmp.Or(cmp.Compare(turns[a.Spec.Priority], turns[b.Spec.Priority]), cmp.Compare(a.Name, b.Name))
	})
	return chosen, nil
}

func fitsAny(selectors []metav1.LabelSelector, of map[string]string) (bool, error) {
	fits := len(selectors) == 0
	for i := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(&selectors[i])
		if err != nil {
			return false, err
		}
		fits = fits || selector.Matches(labels.Set(of))
	}
	return fits, nil
}
