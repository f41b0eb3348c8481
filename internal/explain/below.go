package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/api/carto/v1alpha1"
	slipwayv1alpha1 "slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/podstate"
)

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	replicaSets = appsv1.SchemeGroupVersion.WithResource("replicasets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	events      = corev1.SchemeGroupVersion.WithResource("events")
	testRuns    = slipwayv1alpha1.GroupVersion.WithResource("testruns")
	gitCommits  = slipwayv1alpha1.GroupVersion.WithResource("gitcommits")
	releases    = slipwayv1alpha1.GroupVersion.WithResource("releases")
)

// revisionAnnotation is that by which a Deployment and its newest ReplicaSet know each other.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// runs adds the newest test run of a Runnable, where it makes such.
func (e *Explainer) runs(ctx context.Context, namespace string, node *Node) error {
	found, err := e.objects.Resource(testRuns).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelRunnableName + "=" + node.Object})
	if apierrors.IsNotFound(err) || err == nil && len(found.Items) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing the test runs of runnable %s/%s: %w", namespace, node.Object, err)
	}
	newest := slices.MaxFunc(found.Items, func(a, b unstructured.Unstructured) int {
		return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
	})
	run := &slipwayv1alpha1.TestRun{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(newest.Object, run); err != nil {
		return fmt.Errorf("reading test run %s/%s: %w", namespace, newest.GetName(), err)
	}
	child := &Node{Name: "run", Kind: "TestRun", Object: run.Name, State: metav1.ConditionUnknown, Revision: run.Spec.Source.Revision}
	for _, condition := range run.Status.Conditions {
		if condition.Type == slipwayv1alpha1.ConditionSucceeded {
			child.State, child.Reason, child.Message = condition.Status, condition.Reason, condition.Message
			child.Since = &condition.LastTransitionTime.Time
			child.Cached = condition.Reason == slipwayv1alpha1.ReasonCached
		}
	}
	node.Children = append(node.Children, child)
	return nil
}

// committed adds the revision that a GitCommit has made, which is no output of the stage.
func (e *Explainer) committed(ctx context.Context, namespace string, node *Node) error {
	found, err := e.get(ctx, gitCommits, namespace, node.Object)
	if found == nil || err != nil {
		return err
	}
	node.Revision, _, _ = unstructured.NestedString(found.Object, "status", "revision")
	return nil
}

// released adds the Deployments that a Release has applied, each with its pods.
func (e *Explainer) released(ctx context.Context, namespace string, node *Node) error {
	found, err := e.get(ctx, releases, namespace, node.Object)
	if found == nil || err != nil {
		return err
	}
	release := &slipwayv1alpha1.Release{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, release); err != nil {
		return fmt.Errorf("reading release %s/%s: %w", namespace, node.Object, err)
	}
	for _, applied := range release.Status.Inventory {
		if applied.Group != deployments.Group || applied.Kind != "Deployment" {
			continue
		}
		deployment, err := e.get(ctx, deployments, applied.Namespace, applied.Name)
		if err != nil {
			return err
		}
		child := &Node{made: true, Name: "deployment", Kind: applied.Kind, Object: applied.Name, State: metav1.ConditionFalse, Message: "it is not there"}
		node.Children = append(node.Children, child)
		if deployment == nil {
			continue
		}
		ready, saw := kube.DeploymentReady(deployment)
		if child.State, child.Message = metav1.ConditionUnknown, saw; ready {
			child.State, child.Message = metav1.ConditionTrue, ""
		}
		if err := e.pods(ctx, applied.Namespace, child); err != nil {
			return err
		}
	}
	return nil
}

// pods adds the pods of a Deployment's newest ReplicaSet.
func (e *Explainer) pods(ctx context.Context, namespace string, node *Node) error {
	deployment, err := e.get(ctx, deployments, namespace, node.Object)
	if deployment == nil || err != nil {
		return err
	}
	sets, err := e.objects.Resource(replicaSets).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the replica sets of namespace %s: %w", namespace, err)
	}
	var newest *unstructured.Unstructured
	for i := range sets.Items {
		set := &sets.Items[i]
		if metav1.IsControlledBy(set, deployment) && set.GetAnnotations()[revisionAnnotation] == deployment.GetAnnotations()[revisionAnnotation] {
			newest = set
		}
	}
	if newest == nil {
		return nil
	}
	found, err := e.objects.Resource(pods).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
	}
	for i := range found.Items {
		if !metav1.IsControlledBy(&found.Items[i], newest) {
			continue
		}
		pod := &corev1.Pod{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Items[i].Object, pod); err != nil {
			return fmt.Errorf("reading pod %s/%s: %w", namespace, found.Items[i].GetName(), err)
		}
		if pod.DeletionTimestamp != nil {
			continue
		}
		child := podNode(pod)
		if podstate.MayBeHindered(pod) {
			hindrance, err := e.hindrance(ctx, namespace, pod)
			if err != nil {
				return err
			}
			if hindrance != "" {
				child.Message = hindrance
			}
		}
		node.Children = append(node.Children, child)
	}
	return nil
}

// hindrance is what the events of a pod say that keeps it from being started; "" for nothing.
func (e *Explainer) hindrance(ctx context.Context, namespace string, pod *corev1.Pod) (string, error) {
	found, err := e.objects.Resource(events).Namespace(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(pod.UID)})
	if apierrors.IsForbidden(err) {
		return "", nil // the rest is worth telling all the same
	}
	if err != nil {
		return "", fmt.Errorf("listing the events of pod %s/%s: %w", namespace, pod.Name, err)
	}
	list := &corev1.EventList{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.UnstructuredContent(), list); err != nil {
		return "", fmt.Errorf("reading the events of pod %s/%s: %w", namespace, pod.Name, err)
	}
	return podstate.Hindrance(pod, list.Items), nil
}

func podNode(pod *corev1.Pod) *Node {
	node := &Node{Name: "pod", Kind: "Pod", Object: pod.Name, State: metav1.ConditionTrue}
	if len(pod.Spec.Containers) > 0 {
		_, node.Revision, _ = strings.Cut(pod.Spec.Containers[0].Image, "@")
	}
	node.Since = readySince(pod)
	if podstate.Ready(pod) {
		return node
	}
	node.State, node.Reason, node.Message = metav1.ConditionUnknown, string(pod.Status.Phase), podstate.Describe(pod)
	if trouble := podstate.TroubleOf(pod); trouble != nil {
		node.State, node.Message = metav1.ConditionFalse, trouble.Message
	}
	return node
}

func readySince(pod *corev1.Pod) *time.Time {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return &condition.LastTransitionTime.Time
		}
	}
	return nil
}
