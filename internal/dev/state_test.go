package dev

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const (
	newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	oldDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newImage  = "localhost:5000/apps/hello@" + newDigest
	oldImage  = "localhost:5000/apps/hello@" + oldDigest
)

var goal = target{namespace: "default", name: "hello", image: newImage, generation: 2}

func is(conditionType string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: message}
}

// arrived is a cluster in which the second image has come all the way; the first one's pod is on its way out.
func arrived() seen {
	ready := []metav1.Condition{is("ResourceSubmitted", "True", "ResourceSubmissionComplete", ""), is("Healthy", "True", "Ready", ""), is("Ready", "True", "Ready", "")}
	image := newImage
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "hello", Namespace: "default", UID: "d", Generation: 2, Annotations: map[string]string{revision: "2"}},
		Spec:       appsv1.DeploymentSpec{Template: template(newImage)},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, UpdatedReplicas: 1},
	}
	return seen{
		workload: &v1alpha1.Workload{
			ObjectMeta: metav1.ObjectMeta{Name: "hello", Namespace: "default", Generation: 2},
			Spec:       v1alpha1.WorkloadSpec{Image: &image},
			Status: v1alpha1.WorkloadStatus{OwnerStatus: v1alpha1.OwnerStatus{
				ObservedGeneration: 2,
				Conditions:         []metav1.Condition{is("SupplyChainReady", "True", "Ready", ""), is("ResourcesSubmitted", "True", "x", ""), is("Ready", "True", "Ready", "")},
				Resources: []v1alpha1.ResourceStatus{
					{Name: "image-provider", StampedRef: &v1alpha1.StampedRef{APIVersion: "slipway.dev/v1alpha1", Kind: "Image", Name: "hello"}, Conditions: ready,
						Outputs: []v1alpha1.Output{{Name: "image", Preview: newImage + "\n"}}},
					{Name: "deployment", StampedRef: &v1alpha1.StampedRef{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "default", Name: "hello"}, Conditions: ready},
				},
			}},
		},
		deployments: []*appsv1.Deployment{d},
		replicaSets: []*appsv1.ReplicaSet{set("old", "1", oldImage), set("new", "2", newImage)},
		pods:        []*corev1.Pod{pod("hello-old", "old", oldImage), pod("hello-new", "new", newImage)},
	}
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "workload", Image: image, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
}

func owned(by, kind string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{Kind: kind, UID: types.UID(by), Controller: &yes}}
}

func set(name, rev, image string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Annotations: map[string]string{revision: rev}, OwnerReferences: owned("d", "Deployment")},
		Spec:       appsv1.ReplicaSetSpec{Template: template(image)},
	}
}

func pod(name, owner, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", OwnerReferences: owned(owner, "ReplicaSet"), Labels: map[string]string{v1alpha1.LabelWorkloadName: "hello"}},
		Spec:       template(image).Spec,
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// with makes the new pod not Ready, its container being as given.
func with(s *seen, c corev1.ContainerStatus) {
	p := s.pods[1]
	p.Status.Conditions = nil
	c.Name = "workload"
	p.Status.ContainerStatuses = []corev1.ContainerStatus{c}
}

func waitingFor(reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why"}}}
}

func exited(code int32) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}
}

func TestAssess(t *testing.T) {
	tests := []struct {
		name    string
		change  func(s *seen)
		done    bool
		waiting string // a part of it; only where it is not done
		problem string // a part of its message; "" for none
		stage   string // of the problem
		grace   time.Duration
	}{
		{name: "arrived", change: func(*seen) {}, done: true},
		{name: "no workload", change: func(s *seen) { s.workload = nil }, waiting: "appear", stage: "apply", problem: "has been deleted", grace: shortGrace},
		{name: "the watch is behind", change: func(s *seen) { s.workload.Generation = 1; *s.workload.Spec.Image = oldImage }, waiting: "tell of the workload's change"},
		{name: "pointed elsewhere", change: func(s *seen) { s.workload.Generation = 3; *s.workload.Spec.Image = oldImage }, problem: "somebody else", stage: "apply"},
		{name: "touched by somebody else, image kept", change: func(s *seen) { s.workload.Generation = 3 }, done: true},
		{name: "not observed, with the failure of the run before", change: func(s *seen) {
			s.workload.Status.ObservedGeneration = 1
			s.workload.Status.Conditions[0] = is("SupplyChainReady", "False", "x", "of before")
		}, waiting: "controller"},
		{name: "no chain", change: func(s *seen) {
			s.workload.Status.Conditions[0] = is("SupplyChainReady", "False", "SupplyChainNotFound", "none")
			s.workload.Status.Resources = nil
		}, waiting: "", problem: "none (SupplyChainNotFound)", stage: "chain", grace: shortGrace},
		{name: "a template that cannot be stamped", change: func(s *seen) {
			s.workload.Status.Conditions[1] = is("ResourcesSubmitted", "False", "TemplateStampFailure", "bad path")
			s.workload.Status.Resources[1].Conditions = []metav1.Condition{is("ResourceSubmitted", "False", "TemplateStampFailure", "bad path"), is("Ready", "False", "x", "bad path")}
		}, waiting: "deployment", problem: "bad path (TemplateStampFailure)", stage: "deployment", grace: shortGrace},
		{name: "an unhealthy image", change: func(s *seen) {
			s.workload.Status.Conditions[1] = is("ResourcesHealthy", "False", "x", "")
			s.workload.Status.Resources[0].Conditions = []metav1.Condition{is("Healthy", "False", "NotFound", "no such tag"), is("Ready", "False", "NotFound", "no such tag")}
		}, waiting: "stage image-provider: no such tag", problem: "no such tag", stage: "image-provider", grace: longGrace},
		{name: "an unavailable deployment is on its way", change: func(s *seen) {
			s.workload.Status.Conditions[1] = is("ResourcesHealthy", "False", "x", "")
			s.workload.Status.Resources[1].Conditions = []metav1.Condition{is("Healthy", "False", "x", "not available"), is("Ready", "False", "x", "not available")}
			with(s, waitingFor("ContainerCreating"))
		}, waiting: "ContainerCreating"},
		{name: "the stage before gives out the old image", change: func(s *seen) { s.workload.Status.Resources[0].Outputs[0].Preview = oldImage }, waiting: "image before"},
		{name: "an image that the chain made of ours", change: func(s *seen) {
			s.workload.Status.Resources[0].Outputs[0].Preview = "localhost:5000/signed/hello@" + oldDigest
		}, done: true},
		{name: "the deployment has the old image", change: func(s *seen) { s.deployments[0].Spec.Template = template(oldImage) }, waiting: "new image"},
		{name: "no deployment yet", change: func(s *seen) { s.deployments, s.replicaSets, s.pods = nil, nil, nil }, waiting: "stage deployment"},
		{name: "no replica set yet", change: func(s *seen) { s.replicaSets = s.replicaSets[:1] }, waiting: "Kubernetes to roll"},
		{name: "the deployment was not observed", change: func(s *seen) { s.deployments[0].Generation = 3 }, waiting: "Kubernetes to roll"},
		{name: "a new revision with the same image", change: func(s *seen) { s.deployments[0].Annotations[revision] = "3" }, waiting: "Kubernetes to roll"},
		{name: "one of two", change: func(s *seen) {
			two := int32(2)
			s.deployments[0].Spec.Replicas = &two
			s.deployments[0].Status.UpdatedReplicas = 2
		}, waiting: "1 of 2 Ready"},
		{name: "the new pod is going already", change: func(s *seen) { now := metav1.Now(); s.pods[1].DeletionTimestamp = &now }, waiting: "0 of 1"},
		{name: "it does not listen", change: func(s *seen) {
			with(s, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
		}, waiting: "listen"},
		{name: "the old pod crashes", change: func(s *seen) {
			s.pods[0].Status = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "workload", State: corev1.ContainerState{Terminated: exited(1)}}}}
		}, done: true},
		{name: "crash at start", change: func(s *seen) { with(s, corev1.ContainerStatus{State: corev1.ContainerState{Terminated: exited(2)}}) },
			waiting: "0 of 1", problem: "ended with exit code 2", stage: "pod"},
		{name: "it ends without an error", change: func(s *seen) {
			with(s, corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}})
		}, waiting: "0 of 1", problem: "must keep running", stage: "pod"},
		{name: "crash loop", change: func(s *seen) {
			c := waitingFor("CrashLoopBackOff")
			c.LastTerminationState.Terminated, c.RestartCount = exited(137), 3
			with(s, c)
		}, waiting: "0 of 1", problem: "exit code 137", stage: "pod"},
		{name: "started again after a crash", change: func(s *seen) {
			with(s, corev1.ContainerStatus{RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, LastTerminationState: corev1.ContainerState{Terminated: exited(1)}})
		}, waiting: "0 of 1", problem: "exit code 1", stage: "pod", grace: shortGrace},
		{name: "no image", change: func(s *seen) { with(s, waitingFor("ImagePullBackOff")) }, waiting: "0 of 1", problem: "ImagePullBackOff: why", stage: "pod"},
		{name: "no image for a moment", change: func(s *seen) { with(s, waitingFor("ErrImagePull")) }, waiting: "0 of 1", problem: "ErrImagePull", stage: "pod", grace: shortGrace},
		{name: "a secret is missing", change: func(s *seen) { with(s, waitingFor("CreateContainerConfigError")) }, waiting: "0 of 1", problem: "why", stage: "pod", grace: shortGrace},
		{name: "unschedulable", change: func(s *seen) {
			s.pods[1].Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no memory"}}}
		}, waiting: "no memory", problem: "cannot be scheduled: no memory", stage: "pod", grace: shortGrace},
		{name: "no pods are made", change: func(s *seen) {
			s.pods = s.pods[:1]
			s.deployments[0].Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "quota"}}
		}, waiting: "being made", problem: "quota", stage: "pod", grace: shortGrace},
		{name: "a chain without a deployment", change: func(s *seen) {
			s.deployments, s.replicaSets, s.pods = nil, nil, nil
			s.workload.Status.Resources = s.workload.Status.Resources[:1]
		}, done: true},
		{name: "a chain whose pods have the label alone", change: func(s *seen) {
			s.deployments, s.replicaSets = nil, nil
			s.workload.Status.Resources = s.workload.Status.Resources[:1]
			with(s, waitingFor("ImagePullBackOff"))
		}, waiting: "ImagePullBackOff", problem: "ImagePullBackOff", stage: "pod"},
		{name: "no stages", change: func(s *seen) { s.workload.Status.Resources = nil }, waiting: "stages"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := arrived()
			test.change(&s)
			got := assess(goal, s)
			if got.done != test.done || (got.done && got.waiting != "") || !strings.Contains(got.waiting, test.waiting) {
				t.Errorf("done %t, waiting %q; want %t, %q", got.done, got.waiting, test.done, test.waiting)
			}
			found := got.problem
			if found == nil {
				found = &problem{}
			}
			if found.stage != test.stage || found.grace != test.grace || !strings.Contains(found.message, test.problem) {
				t.Errorf("problem %+v; want %q of stage %q, grace %s", found, test.problem, test.stage, test.grace)
			}
		})
	}
}

func TestAssessNamesThePod(t *testing.T) {
	got := assess(goal, arrived())
	if got.pod == nil || got.pod.Name != "hello-new" {
		t.Errorf("the pod is %v", got.pod)
	}
	if diff := cmp.Diff(destination{namespace: "default", pod: "hello-new", ports: []int32{8080}}, destinationOf(got, nil), cmp.AllowUnexported(destination{})); diff != "" {
		t.Errorf("destination (-want +got):\n%s", diff)
	}
}

func TestPatience(t *testing.T) {
	var p patience
	start := time.Unix(0, 0)
	slow := &problem{message: "slow", grace: 3 * time.Second}
	steps := []struct {
		after time.Duration
		found *problem
		want  time.Duration
	}{
		{0, nil, -1}, {1 * time.Second, slow, 3 * time.Second}, {2 * time.Second, slow, 2 * time.Second},
		{3 * time.Second, nil, -1}, {4 * time.Second, slow, 3 * time.Second}, {8 * time.Second, slow, 0},
		{9 * time.Second, &problem{message: "at once"}, 0},
	}
	for _, step := range steps {
		if got := p.left(step.found, start.Add(step.after)); got != step.want {
			t.Errorf("after %s: %s left, want %s", step.after, got, step.want)
		}
	}
}

func TestBecause(t *testing.T) {
	for want, condition := range map[string]metav1.Condition{
		"it is not Ready yet":             is("Ready", "Unknown", "ReadyCondition", ""),
		"there is no TestPlan":            is("Ready", "False", "ReadyCondition", "there is no TestPlan"),
		"the path leads nowhere (Broken)": is("Ready", "False", "Broken", "the path leads nowhere"),
		"nothing is said yet":             {},
	} {
		if got := because(condition); got != want {
			t.Errorf("because = %q, want %q", got, want)
		}
	}
}
