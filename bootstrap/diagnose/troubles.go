package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/kube"
)

// troubles says what looks wrong with an object, a sentence each; nil when nothing does.
func troubles(object *unstructured.Unstructured, now time.Time) []string {
	switch group := object.GroupVersionKind().Group; {
	case object.GetKind() == "Pod" && group == "":
		return podTroubles(object, now)
	case object.GetKind() == "Deployment" && group == "apps":
		if ready, saw := kube.DeploymentReady(object); !ready {
			return []string{kube.Name(object) + " is not ready: " + strings.TrimPrefix(saw, "deployment "+object.GetName()+": ")}
		}
	case object.GetKind() == "Job" && group == "batch":
		if status, reason, message := kube.Condition(object, "Failed"); status == "True" {
			return []string{fmt.Sprintf("%s failed: %s: %s", kube.Name(object), reason, message)}
		}
	case object.GetKind() == "Node" && group == "", slices.Contains(ownGroups, group):
		return notReady(object)
	}
	return nil
}

// notReady looks at the condition that sums up an object; an object that has none is not judged.
func notReady(object *unstructured.Unstructured) []string {
	for _, conditionType := range []string{"Ready", "Succeeded"} {
		status, reason, message := kube.Condition(object, conditionType)
		if status == "" || status == "True" {
			continue
		}
		text := fmt.Sprintf("%s: %s is %s", kube.Name(object), conditionType, status)
		if because := strings.Trim(reason+": "+message, ": "); because != "" {
			text += ": " + because
		}
		return []string{text}
	}
	return nil
}

func podTroubles(pod *unstructured.Unstructured, now time.Time) []string {
	if status, reason, message := kube.Condition(pod, "PodScheduled"); status == "False" {
		return []string{fmt.Sprintf("%s is not scheduled: %s: %s", kube.Name(pod), reason, message)}
	}
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	var found []string
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", list)
		for _, entry := range statuses {
			status, ok := entry.(map[string]any)
			if !ok {
				continue
			}
			name, _ := status["name"].(string)
			why := containerTrouble(status)
			if why == "" && phase == "Running" {
				why = unready(status, pod.GetNamespace() == "kube-system", now)
			}
			if why != "" {
				found = append(found, fmt.Sprintf("%s, container %s: %s", kube.Name(pod), name, why))
			}
		}
	}
	if len(found) == 0 && (phase == "Failed" || phase == "Pending" || phase == "Unknown") {
		reason, _, _ := unstructured.NestedString(pod.Object, "status", "reason")
		message, _, _ := unstructured.NestedString(pod.Object, "status", "message")
		found = []string{strings.TrimRight(fmt.Sprintf("%s is %s: %s %s", kube.Name(pod), phase, reason, message), ": ")}
	}
	return found
}

func containerTrouble(status map[string]any) string {
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(status, path...)
		return value
	}
	if reason := text("state", "waiting", "reason"); reason != "" && reason != "PodInitializing" && reason != "ContainerCreating" {
		return strings.TrimRight("waiting: "+reason+": "+text("state", "waiting", "message"), ": ")
	}
	if code, found, _ := unstructured.NestedInt64(status, "state", "terminated", "exitCode"); found && code != 0 {
		return fmt.Sprintf("ended with exit code %d (%s)", code, text("state", "terminated", "reason"))
	}
	if restarts, _, _ := unstructured.NestedInt64(status, "restartCount"); restarts > 0 {
		code, _, _ := unstructured.NestedInt64(status, "lastState", "terminated", "exitCode")
		return fmt.Sprintf("was restarted %d times; last with exit code %d (%s)", restarts, code, text("lastState", "terminated", "reason"))
	}
	return ""
}

// settling is how long Kubernetes' own pods may take to say that they are ready after a cluster was made.
const settling = 30 * time.Second

// unready says since when a container runs without being ready.
func unready(status map[string]any, own bool, now time.Time) string {
	started, running, _ := unstructured.NestedString(status, "state", "running", "startedAt")
	if ready, _, _ := unstructured.NestedBool(status, "ready"); ready || !running {
		return ""
	}
	since, err := time.Parse(time.RFC3339, started)
	if err != nil {
		return "runs, but is not ready"
	}
	age := now.Sub(since).Truncate(time.Second)
	if own && age < settling {
		return ""
	}
	return fmt.Sprintf("has been running for %v, but is not ready", age)
}
