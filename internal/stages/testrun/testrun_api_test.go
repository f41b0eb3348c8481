package testrun_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/apitest"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/stages/testrun"
)

// cluster is an API server without kubelets: what becomes of a Job, the test says.
type cluster struct {
	*apitest.Server
	*testing.T
}

func TestRunOnARealAPIServer(t *testing.T) {
	api := apitest.Start(t)
	c := &cluster{api, t}
	stop := c.manage()
	c.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: maker, namespace: default}}`)

	c.apply(run("first", "1111", "a"))
	c.eventually("first", metav1.ConditionUnknown, v1alpha1.ReasonForbidden, `cannot get resource "serviceaccounts"`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: maker, namespace: default}, rules: [{apiGroups: [batch], resources: [jobs], verbs: [get, create]}, {apiGroups: [""], resources: [serviceaccounts], verbs: [get, create]}]}`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: maker, namespace: default}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maker}, subjects: [{kind: ServiceAccount, name: maker, namespace: default}]}`)
	c.eventually("first", metav1.ConditionUnknown, v1alpha1.ReasonPending, "The pod is being made.")
	job := c.job("first")
	if job == nil || job.ManagedFields[0].Manager == "" {
		t.Fatalf("job %v", job)
	}

	// The controller is away while the tests become green: no second run, and the source is passed on.
	stop()
	c.finish(job, batchv1.JobComplete)
	stop = c.manage()
	first := c.eventually("first", metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "")
	if first.Status.URL != first.Spec.Source.URL || first.Status.Revision != "1111" || c.job("first").UID != job.UID {
		t.Errorf("status %+v", first.Status)
	}

	// The same source under another revision needs no job; another source does, and is red.
	c.apply(run("second", "2222", "a"))
	second := c.eventually("second", metav1.ConditionTrue, v1alpha1.ReasonCached, "were green in first")
	if second.Status.Revision != "2222" || second.Status.CachedFrom != "first" || c.job("second") != nil {
		t.Errorf("status %+v, job %v", second.Status, c.job("second"))
	}
	c.apply(run("third", "3333", "b"))
	c.eventually("third", metav1.ConditionUnknown, v1alpha1.ReasonPending, "")
	c.redPod("third")
	c.finish(c.job("third"), batchv1.JobFailed)
	third := c.eventually("third", metav1.ConditionFalse, v1alpha1.ReasonFailed, "--- FAIL: TestX")
	if third.Status.URL != "" || third.Status.CompletionTime == nil {
		t.Errorf("a red run passes on %+v", third.Status)
	}
	// A red run is no reason to take an equal one for red.
	c.apply(run("fourth", "4444", "b"))
	c.eventually("fourth", metav1.ConditionUnknown, v1alpha1.ReasonPending, "")
	if c.job("fourth") == nil {
		t.Error("a red run was taken for an equal one")
	}

	c.apply(`{apiVersion: batch/v1, kind: Job, metadata: {name: fifth, namespace: default}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}`)
	c.apply(run("fifth", "5555", "c"))
	c.eventually("fifth", metav1.ConditionUnknown, v1alpha1.ReasonNotOurs, "belongs to something else")

	changed := c.get("third").DeepCopy()
	changed.Spec.Definition.Image = "other"
	if err := c.Update(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "make another one") {
		t.Errorf("changing a run: %v", err)
	}
	c.cacheWherePodsAreHeldToALevel()
	stop()
}

// cacheWherePodsAreHeldToALevel has a run with a cache before its namespace allows pods no folder of the node, whose pod the
// API server refuses, and one after that, which does without.
func (c *cluster) cacheWherePodsAreHeldToALevel() {
	c.Helper()
	withCache := func(name, source string) string {
		return strings.Replace(run(name, "6666", source), "./...]}", "./...], cache: true}", 1)
	}
	c.apply(withCache("sixth", "d"))
	c.eventually("sixth", metav1.ConditionUnknown, v1alpha1.ReasonPending, "The pod is being made.")
	for _, level := range []string{"baseline", "restricted"} {
		c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {pod-security.kubernetes.io/enforce: ` + level + `}}}`)
		name, source := "seventh-"+level, level[:1]
		if level == "restricted" {
			source = "e"
		}
		c.apply(withCache(name, source))
		c.eventually(name, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The pod is being made. It has no cache: the Pod Security level of namespace default allows no folder of the node.")
		if err := c.makePod(name); err != nil {
			c.Errorf("the API server does not take the pod of %s: %v", name, err)
		}
		c.finish(c.job(name), batchv1.JobComplete)
		c.eventually(name, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "It has no cache")
	}

	// As the Job's controller does.
	refused := c.makePod("sixth")
	if refused == nil {
		c.Fatal("the API server takes a pod with a folder of the node")
	}
	job := c.job("sixth")
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: "sixth.1"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: "default", Name: "sixth", UID: job.UID},
		Reason:         "FailedCreate", Message: "Error creating: " + refused.Error(), Type: corev1.EventTypeWarning, LastTimestamp: metav1.Now(),
	}
	if err := c.Create(c.Context(), event); err != nil {
		c.Fatal(err)
	}
	told := c.eventually("sixth", metav1.ConditionUnknown, v1alpha1.ReasonPending, "The pod cannot be made: "+refused.Error())
	if message := told.Status.Conditions[0].Message; !strings.Contains(message, "Set spec.cache of the TestPlan to false") {
		c.Errorf("it does not say what to do: %s", message)
	}
	// Allowed, the Job has its pod, and the run goes on.
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {pod-security.kubernetes.io/enforce: privileged}}}`)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // admission hears of the label a little later
		err := c.makePod("sixth")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			c.Fatal(err)
		}
	}
	c.eventually("sixth", metav1.ConditionUnknown, v1alpha1.ReasonPending, "The source is being fetched.")
}

// makePod makes the pod of a Job.
func (c *cluster) makePod(name string) error {
	job := c.job(name)
	pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
	pod.Namespace, pod.Name = "default", name+"-pod"
	return c.Create(c.Context(), pod)
}

func run(name, revision, source string) string {
	return strings.NewReplacer("NAME", name, "REVISION", revision, "DIGEST", strings.Repeat(source, 64)).Replace(`
apiVersion: slipway.dev/v1alpha1
kind: TestRun
metadata: {name: NAME, namespace: default}
spec:
  serviceAccountName: maker
  source: {url: "http://registry/v2/a/blobs/sha256:DIGEST", revision: "REVISION"}
  definition: {image: golang, command: [go, test, ./...]}
`)
}

func (c *cluster) manage() (stop func()) {
	c.Helper()
	mgr := c.Manager(c.T)
	if err := testrun.Setup(c.Context(), mgr, testrun.Options{Image: "localhost:5000/slipwayd", Identities: identity.NewPool(c.Config, c.Core(c.T))}); err != nil {
		c.Fatal(err)
	}
	return apitest.Run(c.T, mgr)
}

func (c *cluster) apply(manifest string) {
	c.Helper()
	if err := c.ApplyManifest(c.T, manifest); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) get(name string) *v1alpha1.TestRun {
	c.Helper()
	run := &v1alpha1.TestRun{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: name}, run); err != nil {
		c.Fatal(err)
	}
	return run
}

func (c *cluster) job(name string) *batchv1.Job {
	c.Helper()
	job := &batchv1.Job{}
	err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: name}, job)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.Fatal(err)
	}
	return job
}

func (c *cluster) eventually(name string, status metav1.ConditionStatus, reason, message string) *v1alpha1.TestRun {
	c.Helper()
	var condition *metav1.Condition
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		run := c.get(name)
		condition = meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionSucceeded)
		if condition != nil && condition.Status == status && condition.Reason == reason && strings.Contains(condition.Message, message) {
			return run
		}
	}
	c.Fatalf("%s is not %s %s %q: %+v", name, status, reason, message, condition)
	return nil
}

// finish has a Job end as its controller would.
func (c *cluster) finish(job *batchv1.Job, how batchv1.JobConditionType) {
	c.Helper()
	now := metav1.Now()
	job.Status.StartTime = &now
	before := batchv1.JobSuccessCriteriaMet
	if how == batchv1.JobFailed {
		before = batchv1.JobFailureTarget
		job.Status.Failed = 1
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

// redPod makes the pod of a Job, whose tests were red.
func (c *cluster) redPod(name string) {
	c.Helper()
	job := c.job(name)
	pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
	pod.Namespace, pod.Name = "default", name+"-pod"
	if err := c.Create(c.Context(), pod); err != nil {
		c.Fatal(err)
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "test", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "--- FAIL: TestX"}},
	}}}
	if err := c.Status().Update(c.Context(), pod); err != nil {
		c.Fatal(err)
	}
}
