package diagnose

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestTroubles(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 15, 0, time.UTC)
	for _, test := range []struct {
		name, object string
		want         []string
	}{
		{"nothing to judge", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, nil},
		{"unscheduled pod", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: no memory}]}`,
			[]string{"Pod apps/p is not scheduled: Unschedulable: no memory"}},
		{"pending without a reason", `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: apps}, status: {phase: Pending}}`,
			[]string{"Pod apps/p is Pending"}},
		{"image that cannot be pulled, in an init container", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: ImagePullBackOff, message: not found}}}]}`,
			[]string{"Pod apps/p, container i: waiting: ImagePullBackOff: not found"}},
		{"just being made", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {startedAt: "2026-01-02T03:04:05Z"}}}]}`, nil},
		{"killed and restarted", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status:
  phase: Running
  containerStatuses: [{name: a, ready: true, restartCount: 2, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]`,
			[]string{"Pod apps/p, container a: was restarted 2 times; last with exit code 137 (OOMKilled)"}},
		{"not ready", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Running, containerStatuses: [{name: a, ready: false, state: {running: {startedAt: "2026-01-02T03:04:05Z"}}}]}`,
			[]string{"Pod apps/p, container a: has been running for 10s, but is not ready"}},
		{"Kubernetes' own is settling", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: kube-system}
status: {phase: Running, containerStatuses: [{name: a, ready: false, state: {running: {startedAt: "2026-01-02T03:04:05Z"}}}]}`, nil},
		{"ended", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Succeeded, containerStatuses: [{name: a, ready: false, state: {terminated: {exitCode: 0}}}]}`, nil},
		{"failed", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: apps}
status: {phase: Failed, containerStatuses: [{name: a, ready: false, state: {terminated: {exitCode: 3, reason: Error}}}]}`,
			[]string{"Pod apps/p, container a: ended with exit code 3 (Error)"}},
		{"job", `
apiVersion: batch/v1
kind: Job
metadata: {name: j, namespace: apps}
status: {conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often}]}`,
			[]string{"Job apps/j failed: BackoffLimitExceeded: too often"}},
		{"own kind that knows nothing yet", `
apiVersion: slipway.dev/v1alpha1
kind: Image
metadata: {name: i, namespace: apps}
status: {conditions: [{type: Ready, status: Unknown}]}`,
			[]string{"Image apps/i: Ready is Unknown"}},
		{"own kind that is ready", `
apiVersion: slipway.dev/v1alpha1
kind: Image
metadata: {name: i, namespace: apps}
status: {conditions: [{type: Ready, status: "True"}]}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			text, err := yaml.YAMLToJSON([]byte(test.object))
			if err != nil {
				t.Fatal(err)
			}
			if err := object.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, troubles(object, now)); diff != "" {
				t.Errorf("troubles (-want +got):\n%s", diff)
			}
		})
	}
}
