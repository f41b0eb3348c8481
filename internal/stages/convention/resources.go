package convention

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// What a container gets that asks for nothing: enough for a small service, and little enough that a laptop runs many.
// The limit is there so that a leak ends the program and not the machine.
var (
	defaultRequests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	defaultLimits   = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
)

// addResources gives requests and a memory limit to containers that have none. What has a limit alone is left as it is,
// since its request is the limit then.
func addResources(template *corev1.PodTemplateSpec, _ configs) (applied []string) {
	requested, limited := false, false
	for _, container := range targets(template) {
		for name, quantity := range defaultLimits {
			request, asked := container.Resources.Requests[name]
			if _, there := container.Resources.Limits[name]; there || asked && request.Cmp(quantity) > 0 {
				continue
			}
			if _, there := container.Resources.Requests[name]; !there {
				setQuantity(&container.Resources.Requests, name, defaultRequests[name])
				requested = true
			}
			setQuantity(&container.Resources.Limits, name, quantity)
			limited = true
		}
		for name, quantity := range defaultRequests {
			_, asked := container.Resources.Requests[name]
			if _, bounded := container.Resources.Limits[name]; !asked && !bounded {
				setQuantity(&container.Resources.Requests, name, quantity)
				requested = true
			}
		}
	}
	if requested {
		applied = append(applied, "requests")
	}
	if limited {
		applied = append(applied, "limits")
	}
	return applied
}

func setQuantity(list *corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = quantity
}
