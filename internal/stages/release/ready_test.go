package release

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestHealth(t *testing.T) {
	const ready, failed = "ready", "failed"
	for name, test := range map[string]struct{ object, want string }{ // want: ready, failed, or what is waited for
		"being deleted":   {`{apiVersion: v1, kind: ConfigMap, metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}}`, "it is being deleted"},
		"no status":       {`{apiVersion: v1, kind: ConfigMap}`, ready},
		"not seen":        {`{apiVersion: e.com/v1, kind: A, metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}}`, "its controller has not seen it yet"},
		"Ready":           {`{apiVersion: e.com/v1, kind: A, status: {conditions: [{type: Available, status: "False"}, {type: Ready, status: "True"}]}}`, ready},
		"not Ready":       {`{apiVersion: e.com/v1, kind: A, status: {conditions: [{type: Ready, status: Unknown, reason: Busy, message: so}]}}`, "Busy: so"},
		"not Available":   {`{apiVersion: e.com/v1, kind: A, status: {conditions: [{type: Available, status: "False", message: so}]}}`, "not Available: so"},
		"old condition":   {`{apiVersion: e.com/v1, kind: A, metadata: {generation: 2}, status: {conditions: [{type: Ready, status: "True", observedGeneration: 1}]}}`, "its condition Ready is of an earlier generation"},
		"stalled":         {`{apiVersion: e.com/v1, kind: A, status: {conditions: [{type: Stalled, status: "True", reason: Why}]}}`, failed},
		"reconciling":     {`{apiVersion: e.com/v1, kind: A, status: {conditions: [{type: Reconciling, status: "True", reason: Busy, message: so}, {type: Ready, status: "True"}]}}`, "Busy: so"},
		"deployment new":  {`{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 0}}`, "its controller has not seen it yet"},
		"deployment":      {`{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}`, ready},
		"deployment some": {`{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 3, updatedReplicas: 1, availableReplicas: 2}}`, "1 of 2 pods are ready"},
		"deployment old":  {`{apiVersion: apps/v1, kind: Deployment, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 1, availableReplicas: 2}}`, "1 pods of the revision before are still there"},
		"deployment late": {`{apiVersion: apps/v1, kind: Deployment, status: {observedGeneration: 1, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}}`, failed},
		"replica set":     {`{apiVersion: apps/v1, kind: ReplicaSet, status: {observedGeneration: 1, replicas: 1}}`, "0 of 1 pods are ready"},

		"stateful set":                {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 3}}`, ready},
		"stateful set rolling":        {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1}}`, "1 of 3 pods are updated"},
		"stateful set over":           {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 3}}`, "2 pods more than wanted are still there"},
		"stateful set partition":      {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 2}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1}}`, ready},
		"stateful set partition not":  {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 1}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1}}`, "1 of 2 pods are updated"},
		"stateful set partition high": {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 9}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3}}`, ready},
		"stateful set OnDelete":       {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3}}`, ready},
		"stateful set OnDelete not":   {`{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 2}}`, "2 of 3 pods are ready"},
		"stateful set OnDelete new":   {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 2}, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 1, readyReplicas: 1}}`, "its controller has not seen it yet"},

		"daemon set":              {`{apiVersion: apps/v1, kind: DaemonSet, status: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 2}}`, ready},
		"daemon set rolling":      {`{apiVersion: apps/v1, kind: DaemonSet, status: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 1, numberAvailable: 2}}`, "1 of 2 pods are ready"},
		"daemon set OnDelete":     {`{apiVersion: apps/v1, kind: DaemonSet, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, desiredNumberScheduled: 2, numberAvailable: 2}}`, ready},
		"daemon set OnDelete not": {`{apiVersion: apps/v1, kind: DaemonSet, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, desiredNumberScheduled: 2, numberAvailable: 1}}`, "1 of 2 pods are ready"},

		"job runs":      {`{apiVersion: batch/v1, kind: Job, status: {active: 1}}`, "it has not ended"},
		"job suspended": {`{apiVersion: batch/v1, kind: Job, spec: {suspend: true}, status: {conditions: [{type: Suspended, status: "True"}]}}`, "it is suspended"},
		"job":           {`{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Complete, status: "True"}]}}`, ready},
		"job failed":    {`{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: "True"}]}}`, failed},
		"job failing":   {`{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: FailureTarget, status: "True"}]}}`, failed},
		"cron job":      {`{apiVersion: batch/v1, kind: CronJob, status: {}}`, ready},

		"pod new":       {`{apiVersion: v1, kind: Pod}`, "it is Pending"},
		"pod":           {`{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}`, ready},
		"pod not Ready": {`{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: "False"}]}}`, "it runs and is not Ready"},
		"pod ended":     {`{apiVersion: v1, kind: Pod, status: {phase: Succeeded, conditions: [{type: Ready, status: "False", reason: PodCompleted}]}}`, ready},
		"pod failed":    {`{apiVersion: v1, kind: Pod, status: {phase: Failed, reason: Evicted}}`, failed},

		"claim":             {`{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Bound}}`, ready},
		"claim not bound":   {`{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Pending}}`, "it is not bound to a volume: Pending"},
		"service":           {`{apiVersion: v1, kind: Service, spec: {type: ClusterIP}}`, ready},
		"balancer":          {`{apiVersion: v1, kind: Service, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}}`, ready},
		"balancer not":      {`{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}}`, "it has no address in the cluster yet"},
		"other service":     {`{apiVersion: serving.knative.dev/v1, kind: Service, status: {conditions: [{type: Ready, status: "False", reason: Bad, message: so}]}}`, "Bad: so"},
		"ingress":           {`{apiVersion: networking.k8s.io/v1, kind: Ingress, status: {loadBalancer: {}}}`, ready},
		"definition":        {`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: "True"}, {type: Established, status: "True"}]}}`, ready},
		"definition new":    {`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition}`, "it is not established: "},
		"definition taken":  {`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: "False", reason: ListKindConflict}]}}`, failed},
		"disruption budget": {`{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {generation: 1}, status: {observedGeneration: 1}}`, ready},
	} {
		object := &unstructured.Unstructured{}
		raw, err := yaml.YAMLToJSON([]byte(test.object))
		if err != nil {
			t.Fatal(err)
		}
		if err := object.UnmarshalJSON(raw); err != nil {
			t.Fatal(err)
		}
		got := healthOf(object)
		said := got.detail
		switch {
		case got.ready:
			said = ready
		case got.failed:
			said = failed
		}
		if said != test.want {
			t.Errorf("%s: %q (%s), want %q", name, said, got.detail, test.want)
		}
	}
}
