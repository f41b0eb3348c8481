package release_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testInventory: revisions that are refused, each with objects of other names, do not fill the status up.
func testInventory(c *cluster) {
	c.pause = time.Second // the status is large
	c.manage()
	c.release("app", "0", documents(config1("old", "a")), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'0'")
	for revision := range 5 {
		texts := []string{fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: inventory-%d, labels: {a: '?'}}}", revision)} // is refused
		for i := range 999 {
			texts = append(texts, config1(fmt.Sprintf("%0250d-%d", i, revision), "a"))
		}
		c.release("app", fmt.Sprintf("refused-%d", revision), documents(texts...), "")
		c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, fmt.Sprintf("Namespace inventory-%d: ", revision))
	}
	found := &v1alpha1.Release{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "app"}, found); err != nil {
		c.Fatal(err)
	}
	// What is there stays known.
	if want := (v1alpha1.ReleasedObject{Version: "v1", Kind: "ConfigMap", Namespace: c.namespace, Name: "old"}); !slices.Contains(found.Status.Inventory, want) {
		c.Errorf("the inventory of %d objects lacks %v", len(found.Status.Inventory), want)
	}
}

// testWords: an answer of the API server that is longer than a condition may be.
func testWords(c *cluster) {
	c.manage()
	var env strings.Builder
	for i := range 500 {
		fmt.Fprintf(&env, "{name: '%d=%s'}, ", i, strings.Repeat("a", 100))
	}
	c.release("app", "1", documents("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b, env: ["+env.String()+"]}]}}}}"), "")
	found := c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "Deployment words/web: ")
	if words := found.Status.Conditions[0].Message; !strings.HasSuffix(words, " ...") {
		c.Errorf("the message of %d bytes ends in %q", len(words), words[len(words)-10:])
	}
}

// testJobs: a Job that has ended and was deleted then does not run again, before there is another revision.
func testJobs(c *cluster) {
	c.manage()
	job := "{apiVersion: batch/v1, kind: Job, metadata: {name: once}, spec: {ttlSecondsAfterFinished: 1, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}"
	run := func() {
		c.Helper()
		found := &batchv1.Job{}
		c.until(func() (bool, string) {
			return c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "once"}, found) == nil, c.told("app")
		})
		now := metav1.Now()
		found.Status = batchv1.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue}, {Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}
		if err := c.Status().Update(c.Context(), found); err != nil {
			c.Fatal(err)
		}
	}
	c.release("app", "1", documents(job), "")
	run()
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'")
	deleted := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once", Namespace: c.namespace}}
	if err := c.Delete(c.Context(), deleted, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		c.Fatal(err)
	}
	c.ask("app")
	release := &v1alpha1.Release{}
	c.until(func() (bool, string) {
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "app"}, release); err != nil {
			c.Fatal(err)
		}
		return release.Status.LastHandledRequest == "now", "the request was not heeded"
	})
	if !c.gone("batch/v1", "Job", c.namespace, "once") {
		c.Error("the job was made again")
	}
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'")
	c.release("app", "2", documents(job, config1("a", "b")), "")
	run()
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
}
