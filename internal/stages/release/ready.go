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

// healthOf reads an object's status: of the kinds of Kubernetes itself what they mean, of others the condition Ready or
// Available, if they have one. What has neither is ready when it is there.
func healthOf(object *unstructured.Unstructured) health {
	if observed, has, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration"); has && observed < object.GetGeneration() {
		return waiting("its controller has not seen it yet")
	}
	number := func(fields ...string) int64 {
		value, _, _ := unstructured.NestedInt64(object.Object, fields...)
		return value
	}
	switch kind := object.GroupVersionKind().GroupKind(); kind {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		return ofDeployment(object, number)
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		wanted := replicas(object)
		return counted(min(number("status", "updatedReplicas"), number("status", "readyReplicas")), wanted, object, number)
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		return counted(min(number("status", "updatedNumberScheduled"), number("status", "numberAvailable")), number("status", "desiredNumberScheduled"), object, number)
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		if status, _, message := condition(object, "Failed"); status == "True" {
			return broken("it has failed: %s", message)
		}
		if status, _, _ := condition(object, "Complete"); status != "True" {
			return waiting("it has not ended")
		}
		return health{ready: true}
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		if status, _, message := condition(object, "Established"); status != "True" {
			return waiting("it is not established: %s", message)
		}
		return health{ready: true}
	}
	for _, name := range []string{"Ready", "Available"} {
		if status, reason, message := condition(object, name); status == "False" || status == "Unknown" {
			return waiting("%s: %s", cmp.Or(reason, "not "+name), message)
		} else if status != "" {
			break
		}
	}
	return health{ready: true}
}

func replicas(object *unstructured.Unstructured) int64 {
	wanted, has, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
	if !has {
		return 1
	}
	return wanted
}

func ofDeployment(object *unstructured.Unstructured, number func(...string) int64) health {
	if status, reason, message := condition(object, "Progressing"); status == "False" && reason == "ProgressDeadlineExceeded" {
		return broken("%s", message)
	}
	if number("status", "observedGeneration") == 0 {
		return waiting("its controller has not seen it yet")
	}
	wanted := replicas(object)
	if old := number("status", "replicas") - number("status", "updatedReplicas"); number("status", "updatedReplicas") >= wanted && old > 0 {
		return waiting("%d pods of the revision before are still there", old)
	}
	return counted(min(number("status", "updatedReplicas"), number("status", "availableReplicas")), wanted, object, number)
}

func counted(have, wanted int64, object *unstructured.Unstructured, number func(...string) int64) health {
	switch {
	case number("status", "observedGeneration") == 0:
		return waiting("its controller has not seen it yet")
	case have < wanted:
		return waiting("%d of %d pods are ready", have, wanted)
	}
	return health{ready: true}
}

// condition returns a condition's status, reason and message, all "" without it.
func condition(object *unstructured.Unstructured, name string) (status, reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		fields, is := one.(map[string]any)
		if is && fields["type"] == name {
			status, _, _ = unstructured.NestedString(fields, "status")
			reason, _, _ = unstructured.NestedString(fields, "reason")
			message, _, _ = unstructured.NestedString(fields, "message")
			return status, reason, message
		}
	}
	return "", "", ""
}

// look finds the first member that is not ready, in the order in which they were applied.
func (r *reconciler) look(ctx context.Context, api dynamic.Interface, members []target) (*target, health, error) {
	for i, member := range members {
		found, err := member.in(api).Get(ctx, member.name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
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
		pod := &corev1.Pod{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(found.Items[i].Object, pod) != nil {
			continue
		}
		if trouble := podstate.TroubleOf(pod); trouble != nil {
			return "a pod: " + trouble.Message
		}
	}
	return ""
}
