package release

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"slipway.dev/slipway/internal/podstate"
)

// health is how far an object is.
type health struct {
	ready  bool
	failed bool   // it will not become ready by waiting
	stuck  bool   // one of its pods has trouble, of a kind that waiting seldom helps
	detail string // what it lacks, or why it has failed
}

func waiting(format string, arguments ...any) health {
	return health{detail: fmt.Sprintf(format, arguments...)}
}

func broken(format string, arguments ...any) health {
	return health{failed: true, detail: fmt.Sprintf(format, arguments...)}
}

// healthOf reads an object's status by the rules of kstatus (sigs.k8s.io/cli-utils): of the kinds of Kubernetes itself what
// they mean, of others the conditions Stalled, Reconciling and Ready, or Available without that. What has none of them is
// ready when it is there. It differs where a release would be called ready too soon: a Job must have ended, and of a
// StatefulSet or DaemonSet that is updated by hand (OnDelete) the pods must be ready, of whatever revision.
func healthOf(object *unstructured.Unstructured) health {
	if object.GetDeletionTimestamp() != nil {
		return waiting("it is being deleted")
	}
	status := reader{object}
	if observed, has, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration"); has && observed < object.GetGeneration() {
		return waiting("its controller has not seen it yet")
	}
	if is, reason, message := conditionOf(object, "Stalled"); is == "True" {
		return broken("%s: %s", reason, message)
	}
	if is, reason, message := conditionOf(object, "Reconciling"); is == "True" {
		return waiting("%s: %s", reason, message)
	}
	switch kind := object.GroupVersionKind().GroupKind(); kind.String() {
	case "Deployment.apps":
		return status.ofDeployment()
	case "StatefulSet.apps":
		return status.ofStatefulSet()
	case "DaemonSet.apps":
		return status.ofDaemonSet()
	case "ReplicaSet.apps", "ReplicationController":
		return status.counted(status.wanted(), "availableReplicas")
	case "Job.batch":
		return status.ofJob()
	case "Pod":
		return status.ofPod()
	case "PersistentVolumeClaim":
		if phase := status.text("status", "phase"); phase != "Bound" {
			return waiting("it is not bound to a volume: %s", cmp.Or(phase, "no phase yet"))
		}
		return health{ready: true}
	case "Service":
		if status.text("spec", "type") == "LoadBalancer" && status.text("spec", "clusterIP") == "" {
			return waiting("it has no address in the cluster yet")
		}
		return health{ready: true}
	case "CustomResourceDefinition.apiextensions.k8s.io":
		return status.ofDefinition()
	}
	return status.ofOther()
}

// reader reads the fields of an object; what is not there is 0 or "".
type reader struct{ object *unstructured.Unstructured }

func (r reader) number(fields ...string) int64 {
	value, _, _ := unstructured.NestedInt64(r.object.Object, fields...)
	return value
}

func (r reader) text(fields ...string) string {
	value, _, _ := unstructured.NestedString(r.object.Object, fields...)
	return value
}

// wanted is how many pods there are to be.
func (r reader) wanted() int64 {
	wanted, has, _ := unstructured.NestedInt64(r.object.Object, "spec", "replicas")
	if !has {
		return 1
	}
	return wanted
}

// counted waits until each of some counters of the status is as high as wanted.
func (r reader) counted(wanted int64, counters ...string) health {
	if r.number("status", "observedGeneration") == 0 {
		return waiting("its controller has not seen it yet")
	}
	have := wanted
	for _, counter := range counters {
		have = min(have, r.number("status", counter))
	}
	if have < wanted {
		return waiting("%d of %d pods are ready", have, wanted)
	}
	return health{ready: true}
}

func (r reader) ofDeployment() health {
	if status, reason, message := conditionOf(r.object, "Progressing"); status == "False" && reason == "ProgressDeadlineExceeded" {
		return broken("%s", message)
	}
	wanted, updated := r.wanted(), r.number("status", "updatedReplicas")
	if old := r.number("status", "replicas") - updated; r.number("status", "observedGeneration") > 0 && updated >= wanted && old > 0 {
		return waiting("%d pods of the revision before are still there", old)
	}
	return r.counted(wanted, "updatedReplicas", "availableReplicas")
}

func (r reader) ofStatefulSet() health {
	wanted := r.wanted()
	ready := r.counted(wanted, "readyReplicas")
	if !ready.ready {
		return ready
	}
	if over := r.number("status", "replicas") - wanted; over > 0 {
		return waiting("%d pods more than wanted are still there", over)
	}
	if r.text("spec", "updateStrategy", "type") == "OnDelete" {
		return ready // each pod is updated when somebody deletes it
	}
	partition := r.number("spec", "updateStrategy", "rollingUpdate", "partition")
	if updated, rolled := r.number("status", "updatedReplicas"), wanted-partition; updated < rolled {
		return waiting("%d of %d pods are updated", updated, rolled)
	}
	return ready
}

func (r reader) ofDaemonSet() health {
	wanted := r.number("status", "desiredNumberScheduled")
	if r.text("spec", "updateStrategy", "type") == "OnDelete" {
		return r.counted(wanted, "numberAvailable")
	}
	return r.counted(wanted, "updatedNumberScheduled", "numberAvailable")
}

func (r reader) ofJob() health {
	for _, name := range []string{"Failed", "FailureTarget"} {
		if status, _, message := conditionOf(r.object, name); status == "True" {
			return broken("it has failed: %s", message)
		}
	}
	if status, _, _ := conditionOf(r.object, "Complete"); status == "True" {
		return health{ready: true}
	}
	if suspended, _, _ := unstructured.NestedBool(r.object.Object, "spec", "suspend"); suspended {
		return waiting("it is suspended")
	}
	return waiting("it has not ended")
}

func (r reader) ofPod() health {
	switch phase := r.text("status", "phase"); phase {
	case "Succeeded":
		return health{ready: true}
	case "Failed":
		return broken("it has failed: %s %s", r.text("status", "reason"), r.text("status", "message"))
	case "Running":
		if status, _, _ := conditionOf(r.object, "Ready"); status == "True" {
			return health{ready: true}
		}
		return waiting("it runs and is not Ready")
	default:
		return waiting("it is %s", cmp.Or(phase, "Pending"))
	}
}

func (r reader) ofDefinition() health {
	if status, reason, message := conditionOf(r.object, "NamesAccepted"); status == "False" {
		return broken("%s: %s", reason, message)
	}
	if status, _, message := conditionOf(r.object, "Established"); status != "True" {
		return waiting("it is not established: %s", message)
	}
	return health{ready: true}
}

func (r reader) ofOther() health {
	for _, name := range []string{"Ready", "Available"} {
		status, reason, message := conditionOf(r.object, name)
		switch {
		case status == "":
			continue
		case stale(r.object, name):
			return waiting("its condition %s is of an earlier generation", name)
		case status != "True":
			return waiting("%s: %s", cmp.Or(reason, "not "+name), message)
		}
		break
	}
	return health{ready: true}
}

// conditionOf returns a condition's status, reason and message, all "" without it.
func conditionOf(object *unstructured.Unstructured, name string) (status, reason, message string) {
	found := reader{conditionIn(object, name)}
	return found.text("status"), found.text("reason"), found.text("message")
}

// stale says whether a condition tells that it is of an earlier generation than the object is.
func stale(object *unstructured.Unstructured, name string) bool {
	observed, has, _ := unstructured.NestedInt64(conditionIn(object, name).Object, "observedGeneration")
	return has && observed < object.GetGeneration()
}

// conditionIn is a condition's fields, none without it.
func conditionIn(object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		if fields, is := one.(map[string]any); is && fields["type"] == name {
			return &unstructured.Unstructured{Object: fields}
		}
	}
	return &unstructured.Unstructured{}
}

// look finds the first member that is not ready, in the order in which they were applied.
func (r *reconciler) look(ctx context.Context, api dynamic.Interface, members []target) (*target, health, error) {
	for i, member := range members {
		found, err := member.in(api).Get(ctx, member.name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) && !notServed(err) {
			return &members[i], waiting("it was deleted"), nil
		}
		if err != nil {
			return nil, health{}, refused(member.name, err)
		}
		if now := healthOf(found); !now.ready {
			if why := podTrouble(ctx, api, found); why != "" {
				now.detail, now.stuck = now.detail+"; "+why, true
			}
			return &members[i], now, nil
		}
	}
	return nil, health{ready: true}, nil
}

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// podTrouble says what keeps the pods of an object from being ready, if it has any and the account may see them.
func podTrouble(ctx context.Context, api dynamic.Interface, object *unstructured.Unstructured) string {
	if object.GroupVersionKind().GroupKind().String() == "Pod" {
		return troubleOf(object)
	}
	fields, has, _ := unstructured.NestedMap(object.Object, "spec", "selector")
	if _, of, _ := unstructured.NestedMap(object.Object, "spec", "template"); !has || !of {
		return ""
	}
	var selector metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector) != nil {
		return ""
	}
	found, err := api.Resource(pods).Namespace(object.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&selector), Limit: 20})
	if err != nil {
		return ""
	}
	for i := range found.Items {
		if why := troubleOf(&found.Items[i]); why != "" {
			return "a pod: " + why
		}
	}
	return ""
}

func troubleOf(object *unstructured.Unstructured) string {
	pod := &corev1.Pod{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, pod) != nil {
		return ""
	}
	trouble := podstate.TroubleOf(pod)
	if trouble == nil {
		return ""
	}
	return trouble.Message
}
