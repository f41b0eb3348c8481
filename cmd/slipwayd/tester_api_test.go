package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/kube"
)

// aroundTheTester is a chain that has nothing but the tester between two ConfigMaps, and who may stamp what in it.
const aroundTheTester = `
apiVersion: carto.run/v1alpha1
kind: ClusterSourceTemplate
metadata: {name: given}
spec:
  urlPath: .data.url
  revisionPath: .data.revision
  params: [{name: source, default: ""}, {name: revision, default: ""}]
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: given}
    data: {url: "http://registry/v2/a/blobs/sha256:$(params.source)$", revision: $(params.revision)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: after}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: after}
    data: {url: $(source.url)$, revision: $(source.revision)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: tested}
spec:
  selector: {tested: "yes"}
  resources:
    - name: source-provider
      templateRef: {kind: ClusterSourceTemplate, name: given}
    - name: source-tester
      templateRef: {kind: ClusterSourceTemplate, name: testing-pipeline}
      sources: [{name: source, resource: source-provider}]
    - name: after
      templateRef: {kind: ClusterTemplate, name: after}
      sources: [{name: source, resource: source-tester}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: stamper, namespace: default}
rules:
  - {apiGroups: [""], resources: [configmaps], verbs: ["*"]}
  - {apiGroups: [carto.run], resources: [runnables], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: stamper, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: stamper}
subjects: [{kind: ServiceAccount, name: stamper, namespace: default}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stamper, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: default}
`

// tester is the profile's source-tester on an API server that has no nodes: how tests end, the test says.
type tester struct {
	*testing.T
	client.Client
	process *process
}

func TestSourceTester(t *testing.T) {
	environment, _ := newAPIServer(t)
	c := asAdministrator(t, environment)
	for _, folder := range []string{"manifests/controller", "templates/testing"} {
		c.applyEmbedded(folder)
	}
	c.apply(aroundTheTester)
	c.process = startProcess(t, "--image=localhost:5000/slipwayd")

	c.workload("a", "main@sha1:1", "")
	c.stage(metav1.ConditionFalse, "forbidden", "testplans")
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: slipway-workload, namespace: default}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: slipway-workload}, subjects: [{kind: ServiceAccount, name: default, namespace: default}]}`)
	c.stage(metav1.ConditionFalse, "apps.tanzu.vmware.com/pipeline:test", "did not match any objects")
	c.apply(`{apiVersion: slipway.dev/v1alpha1, kind: TestPlan, metadata: {name: go, namespace: default, labels: {apps.tanzu.vmware.com/pipeline: test}}, spec: {image: golang, command: [go, test, ./...], params: [{name: LEVEL, value: short}]}}`)
	first := c.newest("main@sha1:1")
	if got := fmt.Sprint(first.Spec.Definition.Command, first.Spec.Definition.Params, first.Spec.Params); got != "[go test ./...] [{LEVEL short}] []" {
		t.Errorf("the run is of %s", got)
	}
	c.end(first, batchv1.JobComplete, "")
	c.passed("main@sha1:1")

	// Red: what was passed on before stays, and the log's last lines are in the status.
	c.workload("b", "main@sha1:2", "")
	c.end(c.newest("main@sha1:2"), batchv1.JobFailed, "--- FAIL: TestX")
	c.stage(metav1.ConditionFalse, "The tests are red (exit code 1).", "--- FAIL: TestX")
	c.passed("main@sha1:1")

	// The files of the first commit, in another one: green without a job.
	c.workload("a", "main@sha1:3", "")
	c.passed("main@sha1:3")
	if run := c.newest("main@sha1:3"); run.Status.CachedFrom != first.Name || run.Status.Conditions[0].Reason != v1alpha1.ReasonCached || c.job(run) != nil {
		t.Errorf("the run is %+v", run.Status)
	}
	c.stage(metav1.ConditionTrue)

	// Params and labels of the workload choose what is run; a list of params does, too.
	c.apply(`{apiVersion: slipway.dev/v1alpha1, kind: TestPlan, metadata: {name: node, namespace: default, labels: {language: node}}, spec: {image: node, command: [npm, test]}}`)
	for _, params := range []string{`{LEVEL: long, RACE: true}`, `[{name: LEVEL, value: long}, {name: RACE, value: true}]`} {
		c.workload("a", "main@sha1:4", `[{name: testing_pipeline_matching_labels, value: {language: node}}, {name: testing_pipeline_params, value: `+params+`}]`)
		run := c.newest("main@sha1:4")
		if got := fmt.Sprint(run.Spec.Definition.Image, run.Spec.Params); got != "node[{LEVEL long} {RACE true}]" {
			t.Errorf("the run is of %s", got)
		}
	}
	if runs := len(c.runs()); runs != 4 {
		t.Errorf("%d runs, want 4: the same params in another form are the same", runs)
	}
	c.workload("a", "main@sha1:4", `[{name: testing_pipeline_params, value: loud}]`)
	c.stage(metav1.ConditionFalse, "must be a map of names to values")

	// Retention, and a name in the log's place.
	c.workload("a", "main@sha1:5", `[{name: testing_pipeline_retention, value: {maxSuccessfulRuns: 1, maxFailedRuns: 1}}]`)
	c.eventually("old runs are gone", func() string {
		if runs := c.runs(); len(runs) != 3 { // a green one, a red one, and the one of node, which has not ended
			return fmt.Sprint(len(runs), " are there")
		}
		return ""
	})
	c.passed("main@sha1:5")
}

func (c *tester) applyEmbedded(folder string) {
	c.Helper()
	read := embedded.Templates
	if strings.HasPrefix(folder, "manifests") {
		read = embedded.Manifests
	}
	_, name, _ := strings.Cut(folder, "/")
	contents, err := read(name)
	if err != nil {
		c.Fatal(err)
	}
	for _, content := range contents {
		text := string(content)
		if name == "controller" && !strings.Contains(text, "kind: ClusterRole") || name == "testing" && !strings.Contains(text, "name: testing-pipeline\n") {
			continue
		}
		c.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: slipway-system}\n---\n" + text)
	}
}

func (c *tester) apply(manifests string) {
	c.Helper()
	objects, err := kube.Decode([]byte(manifests))
	if err != nil {
		c.Fatal(err)
	}
	for _, object := range objects {
		if err := c.Apply(c.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			c.Fatal(err)
		}
	}
}

// workload sets what is to be tested: a source, of which the digest is made of one digit.
func (c *tester) workload(digit, revision, params string) {
	c.Helper()
	if params == "" {
		params = "[]"
	}
	c.apply(fmt.Sprintf(`
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: hello, namespace: default, labels: {tested: "yes"}}
spec:
  serviceAccountName: stamper
  params: %s
`, "["+strings.Trim(fmt.Sprintf(`{name: source, value: "%s"}, {name: revision, value: "%s"}, `, strings.Repeat(digit, 64), revision)+strings.TrimPrefix(params, "["), ", ]")+"]"))
}

func (c *tester) eventually(what string, look func() string) {
	c.Helper()
	saw := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if saw = look(); saw == "" {
			return
		}
	}
	c.Fatalf("waiting until %s; last seen: %s", what, saw)
}

// stage waits until the tester's stage is as said in the workload's status.
func (c *tester) stage(status metav1.ConditionStatus, words ...string) {
	c.Helper()
	c.eventually(fmt.Sprintf("the stage is %s and says %q", status, words), func() string {
		workload := &carto.Workload{}
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: "hello"}, workload); err != nil {
			c.Fatal(err)
		}
		for _, resource := range workload.Status.Resources {
			for _, condition := range resource.Conditions {
				if resource.Name == "source-tester" && condition.Type == "Ready" && condition.Status == status &&
					!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(condition.Message, word) }) {
					return ""
				}
			}
		}
		return fmt.Sprintf("%+v", workload.Status)
	})
}

// passed waits until the stage after the tester has a revision.
func (c *tester) passed(revision string) {
	c.Helper()
	c.eventually("the revision "+revision+" is passed on", func() string {
		after := &corev1.ConfigMap{}
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: "after"}, after); err != nil {
			return err.Error()
		}
		if after.Data["revision"] == revision {
			return ""
		}
		return fmt.Sprint(after.Data)
	})
}

func (c *tester) runs() []v1alpha1.TestRun {
	c.Helper()
	list := &v1alpha1.TestRunList{}
	if err := c.List(c.Context(), list, client.InNamespace("default")); err != nil {
		c.Fatal(err)
	}
	return list.Items
}

// newest waits for a run of a revision that has a job or has ended.
func (c *tester) newest(revision string) *v1alpha1.TestRun {
	c.Helper()
	var found *v1alpha1.TestRun
	c.eventually("there is a run of "+revision, func() string {
		for _, run := range c.runs() {
			if run.Spec.Source.Revision == revision && (run.Status.Job != "" || run.Status.CompletionTime != nil) {
				found = &run
				return ""
			}
		}
		return fmt.Sprintf("%+v", c.runs())
	})
	return found
}

func (c *tester) job(run *v1alpha1.TestRun) *batchv1.Job {
	job := &batchv1.Job{}
	if err := c.Get(c.Context(), client.ObjectKeyFromObject(run), job); err != nil {
		return nil
	}
	return job
}

// end has the job of a run end, as its controller would.
func (c *tester) end(run *v1alpha1.TestRun, how batchv1.JobConditionType, said string) {
	c.Helper()
	job := c.job(run)
	if job == nil || job.Spec.Template.Labels[carto.LabelRunnableName] != "hello" {
		c.Fatalf("the job is %v", job)
	}
	now := metav1.Now()
	job.Status.StartTime = &now
	before := batchv1.JobSuccessCriteriaMet
	if how == batchv1.JobFailed {
		before, job.Status.Failed = batchv1.JobFailureTarget, 1
		pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
		pod.Namespace, pod.Name = "default", job.Name+"-pod"
		if err := c.Create(c.Context(), pod); err != nil {
			c.Fatal(err)
		}
		pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "test", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: said}},
		}}}
		if err := c.Status().Update(c.Context(), pod); err != nil {
			c.Fatal(err)
		}
	} else {
		job.Status.CompletionTime, job.Status.Succeeded = &now, 1
	}
	for _, one := range []batchv1.JobConditionType{before, how} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: one, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	if err := c.Status().Update(c.Context(), job); err != nil {
		c.Fatal(err)
	}
}
