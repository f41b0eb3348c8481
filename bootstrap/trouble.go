package bootstrap

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/internal/kube"
)

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// podTrouble says, in a few words, why the pods of a Deployment are not ready: what a container waits for, why it
// ended, or why no node takes the pod. "" when nothing looks wrong.
func podTrouble(ctx context.Context, client *kube.Client, deployment *unstructured.Unstructured) string {
	selector, _, _ := unstructured.NestedStringMap(deployment.Object, "spec", "selector", "matchLabels")
	found, err := client.Dynamic.Resource(pods).Namespace(deployment.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: labels.Set(selector).String()})
	if err != nil {
		return ""
	}
	for i := range found.Items {
		pod := &found.Items[i]
		if status, reason, message := kube.Condition(pod, "PodScheduled"); status == "False" {
			return fmt.Sprintf("pod %s: %s: %s", pod.GetName(), reason, message)
		}
		containers, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
		for _, container := range containers {
			if why := containerTrouble(container); why != "" {
				return fmt.Sprintf("pod %s: %s", pod.GetName(), why)
			}
		}
	}
	return ""
}

func containerTrouble(container any) string {
	status, ok := container.(map[string]any)
	if !ok {
		return ""
	}
	for _, state := range []string{"waiting", "terminated"} {
		reason, _, _ := unstructured.NestedString(status, "state", state, "reason")
		message, _, _ := unstructured.NestedString(status, "state", state, "message")
		if reason == "" || reason == "ContainerCreating" || reason == "PodInitializing" {
			continue
		}
		if message == "" {
			return reason
		}
		return reason + ": " + message
	}
	return ""
}
