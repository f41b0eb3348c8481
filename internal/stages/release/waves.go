package release

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// waves are the kinds in the order in which objects are applied, what others need first. The objects of a wave need none
// of the same wave; each wave is tried before it is applied, and the second waits until the first is in use. "" stands
// for the kinds that are not listed.
var waves = [][]string{
	{"Namespace", "CustomResourceDefinition.apiextensions.k8s.io"},
	{
		"PriorityClass.scheduling.k8s.io", "StorageClass.storage.k8s.io", "ResourceQuota", "LimitRange", "NetworkPolicy.networking.k8s.io",
		"ServiceAccount", "ClusterRole.rbac.authorization.k8s.io", "Role.rbac.authorization.k8s.io",
	},
	{"ClusterRoleBinding.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io"},
	{
		"Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim", "Service", "",
		"Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch", "CronJob.batch", "HorizontalPodAutoscaler.autoscaling",
		"PodDisruptionBudget.policy", "Ingress.networking.k8s.io", "APIService.apiregistration.k8s.io",
		"MutatingWebhookConfiguration.admissionregistration.k8s.io", "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
	},
}

// bindingWave is the wave after which the rights of a revision are in force.
const bindingWave = 2

// place is the wave of a kind and where in that it comes.
func place(kind schema.GroupKind) (wave, rank int) {
	for wave, kinds := range waves {
		if rank := slices.Index(kinds, kind.String()); rank >= 0 && !kind.Empty() {
			return wave, rank
		}
	}
	return len(waves) - 1, slices.Index(waves[len(waves)-1], "")
}

func waveOf(name v1alpha1.ReleasedObject) int {
	wave, _ := place(schema.GroupKind{Group: name.Group, Kind: name.Kind})
	return wave
}

func inOrder(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b *unstructured.Unstructured) int {
		waveA, rankA := place(a.GroupVersionKind().GroupKind())
		waveB, rankB := place(b.GroupVersionKind().GroupKind())
		return cmp.Or(cmp.Compare(waveA, waveB), cmp.Compare(rankA, rankB))
	})
	return sorted
}
