package dev

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// target is what a run wants to see: a workload of which everything has come to one image, or to one source.
type target struct {
	namespace, name string
	image           string          // repository@digest; of the source artifact, where the chain starts at source
	source          bool            // whether it does
	before          map[string]bool // digests of artifacts that the workload may have named before; nil where it does not
	generation      int64           // of the workload, once it names the image
	uid             types.UID       // of the workload then; "" is not looked at
}

func (t target) digest() string {
	_, digest, _ := strings.Cut(t.image, "@")
	return digest
}

func (t target) repository() string {
	repository, _, _ := strings.Cut(t.image, "@")
	return repository
}

// seen are the objects that a run's state is read from, as the cluster last told of them.
type seen struct {
	workload    *v1alpha1.Workload // nil when it is not there
	deployments []*appsv1.Deployment
	replicaSets []*appsv1.ReplicaSet
	pods        []*corev1.Pod
	deliveries  deliveries // nothing where they are not watched
}

// state is how far a run is.
type state struct {
	stages  []stage
	done    bool
	pod     *corev1.Pod        // one that is Ready and runs the image; nil before, and where the chain makes none
	rolled  *appsv1.Deployment // the Deployment that was found complete; nil like pod
	waiting string             // for what; "" when it is done
	problem *problem           // what is wrong; nil when nothing is
	// unprobed are pods of the run that lack nothing but a readiness probe that succeeds.
	unprobed []*corev1.Pod
}

// stage is how far a resource of the supply chain is.
type stage struct {
	name    string
	title   string // what it stamped
	kind    string // of that
	stamped bool   // whether that is known
	held    bool   // whether it delivers, and nothing new is written yet
	done    bool
	detail  string // what it waits for, while it is not done
}

// problem is something that will not get better by waiting, or not by waiting longer than the grace.
type problem struct {
	stage   string // the chain's, or "pod"
	message string
	grace   time.Duration // how long it must last before it counts
	// crashed is the container whose log says more; its pod is nil when none does.
	crashed crashed
}

type crashed struct {
	pod       *corev1.Pod
	container string
	previous  bool // whether the container has started again since
}

// Problems that may be of a moment get some time: an object that is made a little later, a registry that restarts.
const (
	shortGrace = 3 * time.Second
	longGrace  = 10 * time.Second
)

// assess says how far a run is. It decides by what the objects say of this run's image and generation alone: what they
// still say of a run before is no news, good or bad.
func assess(t target, s seen) state {
	w := s.workload
	switch {
	case w == nil:
		return state{waiting: "for the workload to appear", problem: &problem{
			stage: "apply", message: "the workload has been deleted meanwhile: save a file, and it is made again", grace: shortGrace,
		}}
	case t.uid != "" && w.UID != "" && w.UID != t.uid:
		return state{waiting: "for the workload to appear", problem: &problem{
			stage: "apply", message: "somebody else has made the workload anew meanwhile: save a file, and it is this one again", grace: shortGrace,
		}}
	case w.Generation < t.generation:
		return state{waiting: "for the cluster to tell of the workload's change"}
	case t.named(w) != t.image:
		other := t.named(w)
		if other == "" {
			other = "no " + t.kind()
		}
		return state{problem: &problem{stage: "apply", message: fmt.Sprintf("somebody else has pointed the workload at %s meanwhile", other)}}
	case w.Status.ObservedGeneration < t.generation:
		return state{waiting: "for the controller to look at the workload"}
	}
	st := state{stages: stagesOf(t, s)}
	st.problem = chainProblem(t, s, st.stages)
	rolled := rollout(t, s)
	if delivered := deliveryOf(t, s); delivered != nil {
		rolled = st.deliver(delivered, rolled)
	}
	st.pod, st.rolled, st.unprobed = rolled.pod, rolled.deployment, rolled.unprobed
	if rolled.problem != nil {
		st.problem = rolled.problem // a crash explains more than the condition that comes of it
	}
	for _, stage := range st.stages {
		if !stage.done {
			st.waiting = "for stage " + stage.name
			if stage.detail != "" {
				st.waiting += ": " + stage.detail
			}
			if rolled.waiting != "" && rolled.deployment != nil {
				st.waiting = rolled.waiting
			}
			return st
		}
	}
	ready := condition(w.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case rolled.waiting != "":
		st.waiting = rolled.waiting
	case ready.Status != metav1.ConditionTrue:
		st.waiting = "for the workload to be Ready: " + because(ready)
	case len(st.stages) == 0:
		st.waiting = "for the supply chain's stages"
	default:
		st.done, st.problem = true, nil
	}
	return st
}

// stagesOf reads the stages from the workload's status.
func stagesOf(t target, s seen) []stage {
	var stages []stage
	for _, resource := range s.workload.Status.Resources {
		one, ref := newStage(resource), resource.StampedRef
		ready := condition(resource.Conditions, v1alpha1.ConditionReady)
		switch {
		case t.source && awaits(resource, stages) != "":
			one.detail = "it waits for " + awaits(resource, stages)
		case ready.Status != metav1.ConditionTrue:
			one.detail = because(ready)
		case stale(t, resource.Outputs):
			one.detail = "it still gives out the " + t.kind() + " before"
		case isDeployment(ref) && !carriesImage(t, findDeployment(s, t.namespace, ref)):
			one.detail = "the Deployment still has the image before"
		default:
			one.done = true
		}
		stages = append(stages, one)
	}
	return stages
}

// awaits names a stage that is not done of which a resource takes something: what it gives out is of something earlier.
func awaits(resource v1alpha1.ResourceStatus, before []stage) string {
	for _, one := range before {
		if !one.done && slices.ContainsFunc(resource.Inputs, func(input v1alpha1.Input) bool { return input.Name == one.name }) {
			return one.name
		}
	}
	return ""
}

func newStage(resource v1alpha1.ResourceStatus) stage {
	one := stage{name: resource.Name, title: resource.Name}
	if ref := resource.StampedRef; ref != nil && ref.Name != "" {
		one.title, one.kind, one.stamped = ref.Kind+" "+ref.Name, ref.Kind, true
	}
	return one
}

// stale says whether an output is an image of our repository that is not this run's. An image of another repository may
// be one that the chain made of ours.
func stale(t target, outputs []v1alpha1.Output) bool {
	if t.source {
		return slices.ContainsFunc(outputs, t.tellsOfBefore)
	}
	for _, output := range outputs {
		if output.Name == "image" && strings.Contains(output.Preview, t.repository()+"@") && !strings.Contains(output.Preview, t.digest()) {
			return true
		}
	}
	return false
}

// chainProblem reads from the workload's conditions what cannot become better by itself.
func chainProblem(t target, s seen, stages []stage) *problem {
	w := s.workload
	for _, c := range w.Status.Conditions {
		if c.Status != metav1.ConditionFalse || (c.ObservedGeneration != 0 && c.ObservedGeneration < w.Generation) {
			continue
		}
		switch c.Type {
		case v1alpha1.ConditionSupplyChainReady:
			return &problem{stage: "chain", message: "the supply chain cannot be used: " + because(c), grace: shortGrace}
		case v1alpha1.ConditionResourcesSubmitted:
			return &problem{stage: failedStage(w), message: because(c), grace: shortGrace}
		case v1alpha1.ConditionResourcesHealthy:
			if p := unhealthy(t, w, stages); p != nil {
				return p
			}
		}
	}
	return nil
}

func failedStage(w *v1alpha1.Workload) string {
	for _, resource := range w.Status.Resources {
		if condition(resource.Conditions, v1alpha1.ConditionResourceSubmitted).Status == metav1.ConditionFalse {
			return resource.Name
		}
	}
	return "chain"
}

// unhealthy finds the stage whose object says that it is not well. A Deployment that is not Available is only on its
// way, and so is what is delivered; its pods, and the delivery's stages, tell when it is stuck. In a chain that makes
// something new at each stage, what comes after one that is not done speaks of what was there before.
func unhealthy(t target, w *v1alpha1.Workload, stages []stage) *problem {
	for i, resource := range w.Status.Resources {
		if resource.StampedRef != nil && resource.StampedRef.Kind == v1alpha1.KindDeliverable {
			continue
		}
		if t.source && slices.ContainsFunc(stages[:i], func(before stage) bool { return !before.done }) {
			return nil
		}
		healthy := condition(resource.Conditions, v1alpha1.ConditionHealthy)
		if healthy.Status == metav1.ConditionFalse && !isDeployment(resource.StampedRef) {
			return &problem{stage: resource.Name, message: because(healthy), grace: graceOf(resource.StampedRef)}
		}
	}
	return nil
}

// graceOf is how long a stage may say that it is not well. What a Runnable says is how a run ended, or why there can be
// none, and lasts; other stages try again by themselves.
func graceOf(ref *v1alpha1.StampedRef) time.Duration {
	if ref != nil && ref.Kind == v1alpha1.KindRunnable {
		return shortGrace
	}
	return longGrace
}

func condition(conditions []metav1.Condition, conditionType string) metav1.Condition {
	for _, c := range conditions {
		if c.Type == conditionType {
			return c
		}
	}
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionUnknown}
}

// because is a condition in words.
func because(c metav1.Condition) string {
	if of, ok := strings.CutSuffix(c.Reason, "Condition"); ok { // it only says of which of the object's conditions this is
		return cmp.Or(c.Message, "it is not "+of+" yet")
	}
	switch {
	case c.Message != "" && c.Reason != "":
		return c.Message + " (" + c.Reason + ")"
	case c.Message != "":
		return c.Message
	case c.Reason != "":
		return c.Reason
	}
	return "nothing is said yet"
}
