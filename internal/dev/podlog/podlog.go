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
// Deployment, its ReplicaSets), sorted by name. An empty workload leaves it to the roots. Of a Runnable's pods, which
// say so by a label, those of its newest run alone count.
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
	found = append(found, newestRuns(pods, roots)...)
	slices.SortFunc(found, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Compact(found)
}

// deepest bounds the way from a pod to its root, should owners ever go in a circle.
const deepest = 8

// newestRuns are, of each Runnable among the roots, the pods of the run that was begun last and has any.
func newestRuns(pods []*corev1.Pod, roots map[Root]bool) []*corev1.Pod {
	newest := map[string]*corev1.Pod{} // by Runnable
	runnable := func(pod *corev1.Pod) string {
		return cmp.Or(pod.Annotations[v1alpha1.LabelRunnableName], pod.Labels[v1alpha1.LabelRunnableName])
	}
	for _, pod := range pods {
		name := runnable(pod)
		if before := newest[name]; roots[Root{v1alpha1.KindRunnable, name}] &&
			(before == nil || before.CreationTimestamp.Before(&pod.CreationTimestamp)) {
			newest[name] = pod
		}
	}
	var found []*corev1.Pod
	for _, pod := range pods {
		if last := newest[runnable(pod)]; last != nil && controller(pod) == controller(last) {
			found = append(found, pod)
		}
	}
	return found
}

// controller is the object that made a pod; the pod itself where none did.
func controller(pod *corev1.Pod) types.UID {
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		return owner.UID
	}
	return pod.UID
}
