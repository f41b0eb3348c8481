package diagnose

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// collectLogs writes the logs of all containers of pods, and of the run before when a container was restarted.
func (r *clusterReader) collectLogs(ctx context.Context, pods []unstructured.Unstructured) {
	for i := range pods {
		for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
			statuses, _, _ := unstructured.NestedSlice(pods[i].Object, "status", list)
			for _, entry := range statuses {
				status, ok := entry.(map[string]any)
				if !ok {
					continue
				}
				name, _ := status["name"].(string)
				if _, waiting, _ := unstructured.NestedMap(status, "state", "waiting"); !waiting {
					r.collectLog(ctx, &pods[i], name, false)
				}
				if restarts, _, _ := unstructured.NestedInt64(status, "restartCount"); restarts > 0 {
					r.collectLog(ctx, &pods[i], name, true)
				}
			}
		}
	}
}

func (r *clusterReader) collectLog(ctx context.Context, pod *unstructured.Unstructured, container string, previous bool) {
	lines := int64(logLines)
	file := "namespaces/" + pod.GetNamespace() + "/logs/" + pod.GetName() + "." + container
	if previous {
		file += ".previous"
	}
	log, err := r.typed.CoreV1().Pods(pod.GetNamespace()).
		GetLogs(pod.GetName(), &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &lines}).DoRaw(ctx)
	if err != nil {
		r.missing(file+".log", err)
		return
	}
	r.write(file+".log", log)
}
