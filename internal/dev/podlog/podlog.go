// Package podlog reads the lines that a workload's pods write: which pods those are, and what their containers say, from
// all of them at once and also from those that come later. Showing the lines is its caller's business.
package podlog

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Root is an object of which pods come, such as a Deployment that a supply chain stamped.
type Root struct{ Kind, Name string }

// Roots are what a workload's supply chain stamped; stage chooses one of its resources, and "" means all.
func Roots(w *v1alpha1.Workload, stage string) map[Root]bool {
	roots := map[Root]bool{}
	if w == nil {
		return roots
	}
	for _, resource := range w.Status.Resources {
		if ref := resource.StampedRef; ref != nil && (stage == "" || stage == resource.Name) {
			roots[Root{ref.Kind, ref.Name}] = true
		}
	}
	return roots
}

// Of returns those of the pods that carry the workload's label or come of a root, by way of the objects between (of a
// Deployment, its ReplicaSets), sorted by name. An empty workload leaves it to the roots.
func Of(pods []*corev1.Pod, workload string, roots map[Root]bool, between []metav1.Object) []*corev1.Pod {
	known := map[types.UID]metav1.Object{}
	for _, object := range between {
		known[object.GetUID()] = object
	}
	var comes func(object metav1.Object, depth int) bool
	comes = func(object metav1.Object, depth int) bool {
		for _, owner := range object.GetOwnerReferences() {
			if roots[Root{owner.Kind, owner.Name}] {
				return true
			}
			if above, there := known[owner.UID]; there && depth > 0 && comes(above, depth-1) {
				return true
			}
		}
		return false
	}
	var found []*corev1.Pod
	for _, pod := range pods {
		labelled := workload != "" && pod.Labels[v1alpha1.LabelWorkloadName] == workload
		if labelled || comes(pod, deepest) {
			found = append(found, pod)
		}
	}
	slices.SortFunc(found, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// deepest bounds the way from a pod to its root, should owners ever go in a circle.
const deepest = 8
