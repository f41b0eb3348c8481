package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

const runnerAccount = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}`

const runnerRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: runner}
rules:
  - {apiGroups: [""], resources: [pods, configmaps], verbs: [create, list, delete, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: runner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: runner}
subjects: [{kind: ServiceAccount, name: runner, namespace: NS}]`

// A pod has a status of its own, and conditions of any type.
const runTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterRunTemplate
metadata: {name: run-NS}
spec:
  outputs: {phase: .status.phase, node: ".spec.containers[0].image"}
  template:
    apiVersion: v1
    kind: Pod
    metadata: {generateName: "$(runnable.metadata.name)$-"}
    spec:
      containers: [{name: run, image: "$(runnable.spec.inputs.image)$"}]`

const runnable = `
apiVersion: carto.run/v1alpha1
kind: Runnable
metadata: {name: demo}
spec:
  runTemplateRef: {name: run-NS}
  serviceAccountName: runner
  inputs: {image: one}
  retentionPolicy: {maxFailedRuns: 1, maxSuccessfulRuns: 1}`

func (b *bench) runnable(name string) *v1alpha1.Runnable {
	b.Helper()
	found := &v1alpha1.Runnable{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: b.namespace, Name: name}, found); err != nil {
		b.Fatal(err)
	}
	return found
}

// runCondition waits until a condition of a Runnable has a status and a reason, and returns its message.
func (b *bench) runCondition(name, kind, status, reason string) string {
	b.Helper()
	message := ""
	b.eventually(kind+"="+status+" "+reason, func() bool {
		c := realize.Condition(b.runnable(name).Status.Conditions, kind)
		if c == nil {
			return false
		}
		message = c.Message
		return string(c.Status) == status && c.Reason == reason
	}, func() any { return b.runnable(name).Status })
	return message
}

// runs returns the runs of a Runnable, newest first.
func (b *bench) runs(name, kind string) []*unstructured.Unstructured {
	b.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("v1")
	list.SetKind(kind)
	if err := b.client.List(b.Context(), list, client.InNamespace(b.namespace), client.MatchingLabels{v1alpha1.LabelRunnableName: name}); err != nil {
		b.Fatal(err)
	}
	var found []*unstructured.Unstructured
	for i := range list.Items {
		found = append(found, &list.Items[i])
	}
	slices.SortFunc(found, func(x, y *unstructured.Unstructured) int { return int(sequence(y) - sequence(x)) })
	return found
}

func (b *bench) newestRun(name, image string) *unstructured.Unstructured {
	b.Helper()
	var newest *unstructured.Unstructured
	b.eventually("a run of "+image, func() bool {
		found := b.runs(name, "Pod")
		if len(found) == 0 {
			return false
		}
		newest = found[0]
		containers, _, _ := unstructured.NestedSlice(newest.Object, "spec", "containers")
		return containers[0].(map[string]any)["image"] == image
	}, func() any { return b.runs(name, "Pod") })
	return newest
}

// ends plays what runs a pod.
func (b *bench) ends(run *unstructured.Unstructured, status metav1.ConditionStatus, message string) {
	b.Helper()
	run.Object["status"] = map[string]any{"phase": "Succeeded", "conditions": []any{
		map[string]any{"type": conditionSucceeded, "status": string(status), "reason": "Done", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"},
	}}
	if err := b.client.Status().Update(b.Context(), run); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) setImageInput(image string) {
	b.Helper()
	b.apply(strings.Replace(runnable, "image: one", "image: "+image, 1))
}

func TestRunnable(t *testing.T) {
	b := newBench(t)
	b.run()
	b.apply(runnable)
	b.runCondition("demo", v1alpha1.ConditionRunTemplateReady, "False", v1alpha1.ReasonServiceAccountError)
	if got := len(b.runnable("demo").Status.Conditions); got != 2 {
		t.Errorf("%d conditions without an account, want 2", got)
	}
	b.apply(runnerAccount)
	if got, want := b.runCondition("demo", v1alpha1.ConditionRunTemplateReady, "False", v1alpha1.ReasonRunTemplateNotFound),
		fmt.Sprintf(`unable to get run template [run-%s]: ClusterRunTemplate.carto.run "run-%s" not found`, b.namespace, b.namespace); got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
	b.apply(runTemplate)
	message := b.runCondition("demo", v1alpha1.ConditionRunTemplateReady, "False", v1alpha1.ReasonStampedObjectRejected)
	if want := fmt.Sprintf("unable to apply object [%s/demo-] for run template [run-%s]: unable to list from api server: ", b.namespace, b.namespace); !strings.HasPrefix(message, want) {
		t.Errorf("message = %q, want the beginning %q", message, want)
	}
	b.apply(runnerRole)
	b.runCondition("demo", v1alpha1.ConditionRunTemplateReady, "True", v1alpha1.ReasonReady)
	b.runCondition("demo", v1alpha1.ConditionReady, "Unknown", v1alpha1.ReasonUnknown)

	first := b.newestRun("demo", "one")
	owner := metav1.GetControllerOf(first)
	if owner == nil || owner.UID != b.runnable("demo").UID || first.GetLabels()[v1alpha1.LabelRunTemplateName] != "run-"+b.namespace {
		t.Errorf("the run's metadata: %v", first.Object["metadata"])
	}
	b.ends(first, metav1.ConditionTrue, "fine")
	if got := b.runCondition("demo", v1alpha1.ConditionStampedObjectCondition, "True", v1alpha1.ReasonSucceededConditionOfRun); got != "fine" {
		t.Errorf("message = %q", got)
	}
	b.runCondition("demo", v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"one"`})

	// Another input is another run; until it succeeds, the outputs are those of the one before.
	b.setImageInput("two")
	second := b.newestRun("demo", "two")
	b.runCondition("demo", v1alpha1.ConditionStampedObjectCondition, "Unknown", v1alpha1.ReasonUnknown)
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"one"`})
	b.ends(second, metav1.ConditionFalse, "broken")
	b.runCondition("demo", v1alpha1.ConditionReady, "False", v1alpha1.ReasonSucceededConditionOfRun)
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"one"`})

	// Back to the first input: a run once more, and then only one of each end is kept.
	b.setImageInput("one")
	third := b.newestRun("demo", "one")
	if third.GetUID() == first.GetUID() {
		t.Fatal("the first run was taken for the newest")
	}
	b.ends(third, metav1.ConditionTrue, "fine")
	b.eventually("two runs are kept", func() bool {
		kept := b.runs("demo", "Pod")
		return len(kept) == 2 && kept[0].GetUID() == third.GetUID() && kept[1].GetUID() == second.GetUID()
	}, func() any { return b.runs("demo", "Pod") })
}

func (b *bench) outputs(name string, want map[string]string) {
	b.Helper()
	b.eventually("the outputs are there", func() bool {
		got := map[string]string{}
		for key, value := range b.runnable(name).Status.Outputs {
			got[key] = string(value.Raw)
		}
		return cmp.Equal(got, want)
	}, func() any { return b.runnable(name).Status })
}

// TestRunnableAfterRestart : neither a restart nor another writer leads to a new run, a write of one or of the status.
func TestRunnableAfterRestart(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	for _, manifest := range []string{runnerAccount, runnerRole, runTemplate, runnable} {
		b.apply(manifest)
	}
	run := b.newestRun("demo", "one")
	b.ends(run, metav1.ConditionTrue, "fine")
	b.runCondition("demo", v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"one"`})
	stop()
	versions := func() []string {
		seen := []string{b.runnable("demo").ResourceVersion}
		for _, run := range b.runs("demo", "Pod") {
			seen = append(seen, run.GetName()+" "+run.GetResourceVersion())
		}
		return seen
	}
	before := versions()
	b.run()
	// A second one is run after the restart, so that the first is known to have been looked at.
	b.apply(strings.Replace(runnable, "name: demo", "name: later", 1))
	b.newestRun("later", "one")
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
}

const configRunTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterRunTemplate
metadata: {name: config-NS}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {generateName: config-}
    data: {color: $(selected.data.color)$}`

const configRunnable = `
apiVersion: carto.run/v1alpha1
kind: Runnable
metadata: {name: chosen}
spec:
  runTemplateRef: {name: config-NS}
  serviceAccountName: runner
  selector:
    resource: {apiVersion: v1, kind: ConfigMap}
    matchingLabels: {pick: me}`

// TestRunnableSelects : a selected object is awaited, and another run follows when it changes. What is stamped here has
// no spec, and is stamped once all the same.
func TestRunnableSelects(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{runnerAccount, runnerRole, configRunTemplate, configRunnable} {
		b.apply(manifest)
	}
	none := "there is no ConfigMap with the labels pick=me in namespace " + b.namespace + ": make one, and this goes on by itself; `kubectl explain configmap` tells what is in it" +
		" (unable to resolve selector [map[pick:me]], apiVersion [v1], kind [ConfigMap]: selector did not match any objects)"
	if got := b.runCondition("chosen", v1alpha1.ConditionRunTemplateReady, "False", v1alpha1.ReasonTemplateStampFailure); got != none {
		t.Errorf("message = %q, want %q", got, none)
	}
	one := `
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {pick: me}}
data: {color: red}`
	b.apply(one)
	colors := func() string {
		all := ""
		for _, run := range b.runs("chosen", "ConfigMap") {
			color, _, _ := unstructured.NestedString(run.Object, "data", "color")
			all += color + " "
		}
		return all
	}
	b.eventually("a run with red", func() bool { return colors() == "red " }, func() any { return b.runnable("chosen").Status })
	b.apply(strings.Replace(one, "red", "blue", 1))
	b.eventually("a run with blue", func() bool { return colors() == "blue red " }, func() any { return colors() })
	b.apply(strings.Replace(one, "name: one", "name: two", 1))
	b.eventually("two fit", func() bool {
		c := realize.Condition(b.runnable("chosen").Status.Conditions, v1alpha1.ConditionRunTemplateReady)
		return c.Status == metav1.ConditionFalse && strings.HasPrefix(c.Message, "there is more than one ConfigMap with the labels pick=me in namespace ") && strings.Contains(c.Message, ": selector matched multiple objects")
	}, func() any { return b.runnable("chosen").Status })
	if got := colors(); got != "blue red " {
		t.Errorf("runs: %s", got)
	}
}

// TestRunsThatMayNotBeDeletedYet has the service account get the right to delete runs only when there is one too many.
func TestRunsThatMayNotBeDeletedYet(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{runnerAccount, strings.Replace(runnerRole, "delete, ", "", 1), runTemplate, runnable} {
		b.apply(manifest)
	}
	b.ends(b.newestRun("demo", "one"), metav1.ConditionTrue, "")
	b.runCondition("demo", v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
	b.setImageInput("two")
	b.ends(b.newestRun("demo", "two"), metav1.ConditionTrue, "")
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"two"`})
	if got := len(b.runs("demo", "Pod")); got != 2 {
		t.Errorf("%d runs, want the 2 that may not be deleted", got)
	}
	b.runCondition("demo", v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
	b.apply(runnerRole)
	b.eventually("one run is kept", func() bool { return len(b.runs("demo", "Pod")) == 1 }, func() any { return b.runs("demo", "Pod") })
}
