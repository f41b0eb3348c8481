package testrun

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func newRun(change func(*v1alpha1.TestRun)) *v1alpha1.TestRun {
	run := &v1alpha1.TestRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "run-1", UID: "1"},
		Spec: v1alpha1.TestRunSpec{
			Source:     v1alpha1.TestSource{URL: "http://registry/v2/a/blobs/" + digest, Revision: "main@sha1:1"},
			Definition: v1alpha1.TestDefinition{Image: "golang", Command: []string{"go", "test", "./..."}, Params: []v1alpha1.TestVariable{{Name: "LEVEL", Value: "short"}}},
		},
	}
	if change != nil {
		change(run)
	}
	return run
}

func TestDefinitionKey(t *testing.T) {
	same := definitionKey(newRun(nil))
	for name, change := range map[string]func(*v1alpha1.TestRun){
		"revision":     func(r *v1alpha1.TestRun) { r.Spec.Source.Revision = "other" },
		"address":      func(r *v1alpha1.TestRun) { r.Spec.Source.URL = "http://elsewhere/" + digest },
		"digest apart": func(r *v1alpha1.TestRun) { r.Spec.Source.URL, r.Spec.Source.Digest = "http://elsewhere/tar", digest },
		"timeout and cache": func(r *v1alpha1.TestRun) {
			r.Spec.Definition.Timeout, r.Spec.Definition.Cache = &metav1.Duration{Duration: time.Hour}, true
		},
		"param said again": func(r *v1alpha1.TestRun) { r.Spec.Params = r.Spec.Definition.Params },
	} {
		if definitionKey(newRun(change)) != same {
			t.Errorf("another %s is another test", name)
		}
	}
	for name, change := range map[string]func(*v1alpha1.TestRun){
		"digest":   func(r *v1alpha1.TestRun) { r.Spec.Source.Digest = "sha256:" + strings.Repeat("0", 64) },
		"image":    func(r *v1alpha1.TestRun) { r.Spec.Definition.Image = "golang:2" },
		"command":  func(r *v1alpha1.TestRun) { r.Spec.Definition.Command = []string{"true"} },
		"param":    func(r *v1alpha1.TestRun) { r.Spec.Params = []v1alpha1.TestVariable{{Name: "LEVEL", Value: "long"}} },
		"variable": func(r *v1alpha1.TestRun) { r.Spec.Definition.Env = []v1alpha1.TestVariable{{Name: "A"}} },
		"folder":   func(r *v1alpha1.TestRun) { r.Spec.Source.SubPath = "web" },
	} {
		if key := definitionKey(newRun(change)); key == same || key == "" {
			t.Errorf("another %s is the same test", name)
		}
	}
	if key := definitionKey(newRun(func(r *v1alpha1.TestRun) { r.Spec.Source.URL = "http://elsewhere/main.tar.gz" })); key != "" {
		t.Errorf("a source of which no digest is known has the key %q", key)
	}
}

func TestVariables(t *testing.T) {
	run := newRun(func(r *v1alpha1.TestRun) {
		r.Spec.Params = []v1alpha1.TestVariable{{Name: "LEVEL", Value: "long"}, {Name: "MORE", Value: "x"}}
		r.Spec.Definition.Env = []v1alpha1.TestVariable{{Name: "HOME", Value: "/workspace"}}
		r.Spec.Definition.Cache, r.Spec.Definition.RunAsUser = true, new(int64(7))
	})
	got := map[string]string{}
	for _, variable := range variables(run, true) {
		if _, twice := got[variable.Name]; twice {
			t.Errorf("%s is there twice", variable.Name)
		}
		got[variable.Name] = variable.Value
	}
	want := map[string]string{
		"HOME": "/workspace", "LEVEL": "long", "MORE": "x", "XDG_CACHE_HOME": "/cache/ns-7", "GOCACHE": "/cache/ns-7/go-build", "GOMODCACHE": "/cache/ns-7/go-mod",
		"npm_config_cache": "/cache/ns-7/npm", "SOURCE_URL": run.Spec.Source.URL, "SOURCE_REVISION": "main@sha1:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestJobStaysInside: whatever a run says, the command starts below the workspace, not as root, without a token.
func TestJobStaysInside(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		jobStaysInside(t, inPlace)
	}
}

func jobStaysInside(t *testing.T, inPlace bool) {
	t.Helper()
	job := newJob(newRun(func(r *v1alpha1.TestRun) { r.Spec.Source.SubPath = "../../etc" }), means{image: "slipwayd@" + digest, inPlace: inPlace})
	pod := job.Spec.Template.Spec
	if got := pod.Containers[0].WorkingDir; !inPlace && got != "/workspace/etc" {
		t.Errorf("working directory %s", got)
	}
	if got := pod.Containers[0].Command; inPlace && !slices.Contains(got, "--in=etc") {
		t.Errorf("command %s", got)
	}
	if *pod.AutomountServiceAccountToken || pod.ServiceAccountName != testAccount || !*pod.SecurityContext.RunAsNonRoot || *job.Spec.BackoffLimit != 0 || *job.Spec.ActiveDeadlineSeconds != 600 {
		t.Errorf("job %+v", job.Spec)
	}
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		is := container.SecurityContext
		if !*is.ReadOnlyRootFilesystem || *is.AllowPrivilegeEscalation || is.Capabilities.Drop[0] != "ALL" {
			t.Errorf("container %s: %+v", container.Name, is)
		}
	}
}

func TestProgress(t *testing.T) {
	terminated := func(name string, code int32, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message, Reason: "Error"}}}
	}
	waiting := func(reason, message string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: testContainer, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}}
	}
	pod := func(init, containers []corev1.ContainerStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: init, ContainerStatuses: containers}}
	}
	tests := []struct {
		name      string
		condition batchv1.JobCondition
		pod       *corev1.Pod
		status    metav1.ConditionStatus
		reason    string
		message   string
	}{
		{"no pod", batchv1.JobCondition{}, nil, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The pod is being made."},
		{"fetching", batchv1.JobCondition{}, waiting("PodInitializing", ""), metav1.ConditionUnknown, v1alpha1.ReasonPending, "The source is being fetched."},
		{"no image", batchv1.JobCondition{}, waiting("ImagePullBackOff", "no such image"), metav1.ConditionUnknown, v1alpha1.ReasonPending, "The container test waits: ImagePullBackOff: no such image"},
		{"running", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{{Name: testContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}), metav1.ConditionUnknown, v1alpha1.ReasonRunning, ""},
		{"green", batchv1.JobCondition{Type: batchv1.JobComplete}, nil, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, ""},
		{"green, before the Job says so", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{terminated(testContainer, 0, "")}), metav1.ConditionTrue, v1alpha1.ReasonSucceeded, ""},
		{"red, before the Job says so", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{terminated(testContainer, 2, "")}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The tests are red (exit code 2). `kubectl logs --namespace ns job/run-1` shows all that was said."},
		{"killed, for the Job to say why", batchv1.JobCondition{}, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now())}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated(testContainer, 137, "")}},
		}, metav1.ConditionUnknown, v1alpha1.ReasonRunning, ""},
		{"red", batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "BackoffLimitExceeded"}, pod([]corev1.ContainerStatus{terminated(fetchContainer, 0, "")}, []corev1.ContainerStatus{terminated(testContainer, 1, "--- FAIL: TestX\n")}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The tests are red (exit code 1). `kubectl logs --namespace ns job/run-1` shows all that was said.\n--- FAIL: TestX"},
		{"not fetched", batchv1.JobCondition{Type: batchv1.JobFailed}, pod([]corev1.ContainerStatus{terminated(fetchContainer, 1, "Error: 404")}, nil),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The source could not be fetched (exit code 1). `kubectl logs --namespace ns job/run-1` shows all that was said.\nError: 404"},
		{"not fetched in place", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{terminated(testContainer, 125, "slipwayd: 404\n")}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The source could not be fetched (exit code 125). `kubectl logs --namespace ns job/run-1` shows all that was said.\nslipwayd: 404"},
		{"out of memory", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{{Name: testContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The tests took more memory than they may (exit code 137, OOMKilled). `kubectl logs --namespace ns job/run-1` shows all that was said."},
		{"no such command", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{terminated(testContainer, 127, "slipwayd: running gox: not found")}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The test command could not be run (exit code 127). `kubectl logs --namespace ns job/run-1` shows all that was said.\nslipwayd: running gox: not found"},
		{"a test with that code", batchv1.JobCondition{}, pod(nil, []corev1.ContainerStatus{terminated(testContainer, 125, "git bisect: skip")}),
			metav1.ConditionFalse, v1alpha1.ReasonFailed, "The tests are red (exit code 125). `kubectl logs --namespace ns job/run-1` shows all that was said.\ngit bisect: skip"},
		{"too long", batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "DeadlineExceeded"}, waiting("ErrImagePull", "no"), metav1.ConditionFalse, v1alpha1.ReasonTimedOut,
			"The tests took longer than 600s. The container test waits: ErrImagePull: no"},
		{"evicted", batchv1.JobCondition{}, &corev1.Pod{Status: corev1.PodStatus{
			Reason: "Evicted", Message: "The node was low on resource: memory.", ContainerStatuses: []corev1.ContainerStatus{terminated(testContainer, 137, "")},
		}}, metav1.ConditionFalse, v1alpha1.ReasonFailed, "The tests were interrupted, and say nothing about the source: The node was low on resource: memory."},
		{"pod gone", batchv1.JobCondition{Type: batchv1.JobFailed, Message: "it was evicted"}, nil, metav1.ConditionFalse, v1alpha1.ReasonFailed, "it was evicted"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			job := newJob(newRun(nil), means{image: "slipwayd"})
			if test.condition.Type != "" {
				test.condition.Status = corev1.ConditionTrue
				job.Status.Conditions = []batchv1.JobCondition{test.condition}
			}
			if diff := cmp.Diff(progress{status: test.status, reason: test.reason, message: test.message}, progressOf(job, test.pod, ""), cmp.AllowUnexported(progress{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRefused has a Job whose pods the API server refuses, before and after its time is up.
func TestRefused(t *testing.T) {
	job := newJob(newRun(nil), means{image: "slipwayd", cache: true})
	const why = "The pod cannot be made: quota"
	if got := progressOf(job, nil, why); got.status != metav1.ConditionUnknown || got.reason != v1alpha1.ReasonPending || got.message != why {
		t.Errorf("%+v", got)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonDeadlineExceeded}}
	if got := progressOf(job, nil, why); got.reason != v1alpha1.ReasonTimedOut || got.message != "The tests took longer than 600s. "+why {
		t.Errorf("%+v", got)
	}
}
