package dev

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/podstate"
)

// revision is the annotation by which a Deployment and its newest ReplicaSet know each other.
const revision = "deployment.kubernetes.io/revision"

// rolled is how far the pods of a run are.
type rolled struct {
	deployment *appsv1.Deployment // nil where the chain makes none
	pod        *corev1.Pod        // Ready; nil before
	waiting    string             // "" when they are all there
	problem    *problem
	unprobed   []*corev1.Pod // those of them that run, and await that a readiness probe succeeds
}

// rollout looks at the Deployments that the chain stamped, or, where it stamped none, at those and then at the pods
// that carry the workload's label.
func rollout(t target, s seen) rolled {
	deployments := deploymentsOf(t, s)
	if len(deployments) == 0 {
		return podsByLabel(t, s)
	}
	var all rolled
	for _, deployment := range deployments {
		one := rolloutOf(t, s, deployment)
		if one.problem != nil || one.waiting != "" || all.deployment == nil {
			all = one
		}
		if one.problem != nil || one.waiting != "" {
			break
		}
	}
	return all
}

// deploymentsOf are those that must come to the run's image.
func deploymentsOf(t target, s seen) []*appsv1.Deployment {
	var found []*appsv1.Deployment
	for _, resource := range s.workload.Status.Resources {
		if isDeployment(resource.StampedRef) {
			if d := findDeployment(s, t.namespace, resource.StampedRef); d != nil {
				found = append(found, d)
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, d := range s.deployments {
		if d.Labels[v1alpha1.LabelWorkloadName] == t.name {
			found = append(found, d)
		}
	}
	return found
}

func isDeployment(ref *v1alpha1.StampedRef) bool {
	return ref != nil && ref.Kind == "Deployment" && strings.HasPrefix(ref.APIVersion, "apps/")
}

func findDeployment(s seen, namespace string, ref *v1alpha1.StampedRef) *appsv1.Deployment {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	for _, d := range s.deployments {
		if d.Name == ref.Name && d.Namespace == namespace {
			return d
		}
	}
	return nil
}

// carriesImage says whether a Deployment's pods are to run the target's image. Which image a chain makes of a source is
// not known here: then the Deployment has the right one as soon as the stages before it are done.
func carriesImage(t target, d *appsv1.Deployment) bool {
	return d != nil && t.runs(&d.Spec.Template.Spec)
}

func (t target) runs(pod *corev1.PodSpec) bool { return t.source || runs(pod, t.digest()) }

func runs(pod *corev1.PodSpec, digest string) bool {
	return slices.ContainsFunc(slices.Concat(pod.InitContainers, pod.Containers), func(c corev1.Container) bool {
		return strings.HasSuffix(c.Image, "@"+digest)
	})
}

func rolloutOf(t target, s seen, d *appsv1.Deployment) rolled {
	r := rolled{deployment: d}
	if !carriesImage(t, d) {
		r.waiting = fmt.Sprintf("for deployment %s to get the new image", d.Name)
		return r
	}
	set := newestSet(t, s, d)
	if d.Status.ObservedGeneration < d.Generation || set == nil {
		r.waiting = fmt.Sprintf("for Kubernetes to roll deployment %s", d.Name)
		r.problem = replicaFailure(d)
		return r
	}
	want := 1
	if d.Spec.Replicas != nil {
		want = int(*d.Spec.Replicas)
	}
	ready, last := 0, "pods are being made"
	for _, pod := range podsOf(s, set) {
		if podstate.Ready(pod) {
			ready++
			r.pod = pod
			continue
		}
		last = podstate.Describe(pod)
		r.awaits(pod)
		if r.problem == nil {
			r.problem = podProblem(pod)
		}
	}
	if r.problem == nil {
		r.problem = replicaFailure(d)
	}
	if ready < want || int(d.Status.UpdatedReplicas) < want {
		r.waiting = fmt.Sprintf("for pods of deployment %s: %d of %d Ready; %s", d.Name, ready, want, last)
		return r
	}
	r.problem = nil
	return r
}

func (r *rolled) awaits(pod *corev1.Pod) {
	if podstate.AwaitsProbe(pod) {
		r.unprobed = append(r.unprobed, pod)
	}
}

// newestSet is the ReplicaSet of a Deployment's newest revision, if it runs the image; nil when there is none yet.
func newestSet(t target, s seen, d *appsv1.Deployment) *appsv1.ReplicaSet {
	for _, set := range s.replicaSets {
		if metav1.IsControlledBy(set, d) && set.Annotations[revision] == d.Annotations[revision] && t.runs(&set.Spec.Template.Spec) {
			return set
		}
	}
	return nil
}

// podsOf are the pods of a ReplicaSet that are to stay, by name.
func podsOf(s seen, set *appsv1.ReplicaSet) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range s.pods {
		if pod.DeletionTimestamp == nil && metav1.IsControlledBy(pod, set) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

// podsByLabel is for chains whose Deployment, if any, is not of the kind that we know: whatever runs the image and has
// the workload's label must be Ready.
func podsByLabel(t target, s seen) rolled {
	var r rolled
	if t.source {
		return r // whether a pod is one of this run cannot be seen, so the stages alone decide
	}
	for _, pod := range s.pods {
		if pod.Labels[v1alpha1.LabelWorkloadName] != t.name || pod.DeletionTimestamp != nil || !runs(&pod.Spec, t.digest()) {
			continue
		}
		if podstate.Ready(pod) {
			r.pod = pod
			continue
		}
		r.waiting = "for " + podstate.Describe(pod)
		r.awaits(pod)
		if r.problem == nil {
			r.problem = podProblem(pod)
		}
	}
	return r
}

func replicaFailure(d *appsv1.Deployment) *problem {
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			return &problem{stage: "pod", message: fmt.Sprintf("deployment %s cannot make pods: %s", d.Name, c.Message), grace: shortGrace}
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && d.Status.ObservedGeneration >= d.Generation:
			return &problem{stage: "pod", message: fmt.Sprintf("deployment %s does not get on: %s", d.Name, c.Message), grace: shortGrace}
		}
	}
	return nil
}
