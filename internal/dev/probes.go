package dev

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// annotationProbe is what is written into a pod to have it probed: the time, so that each writing changes something.
const annotationProbe = "slipway.dev/probe-requested-at"

// Between two probes that are asked for. The first comes soon, since most programs listen a few milliseconds after they
// were started. The kubelet looks at a pod again only once it has asked the container runtime how its containers are,
// which it does every second: more requests than that are in vain. Nobody asks longer than hastenLimit: what takes that
// long is not quicker by less than the period of its probe.
const (
	firstProbe  = 25 * time.Millisecond
	nextProbes  = time.Second
	hastenLimit = 30 * time.Second
)

// probes makes pods Ready sooner. The kubelet probes a container in the moment in which it has started it, when most
// programs do not listen yet, and again only after the period of the readiness probe: at least a second, and ten if the
// probe does not say. But it also probes a container that is not ready whenever the pod changes, and so the pod is
// changed: by an annotation that nobody reads. It is an attempt: whoever may not write pods waits for the period.
type probes struct {
	cluster kubernetes.Interface
	asking  sync.WaitGroup
	ends    map[types.UID]context.CancelFunc
}

func newProbes(cluster kubernetes.Interface) *probes {
	return &probes{cluster: cluster, ends: map[types.UID]context.CancelFunc{}}
}

// hasten has these pods probed until they are not among those of a later call.
func (p *probes) hasten(ctx context.Context, pods []*corev1.Pod) {
	now := map[types.UID]bool{}
	for _, pod := range pods {
		now[pod.UID] = true
		if p.ends[pod.UID] != nil {
			continue
		}
		asking, end := context.WithTimeout(ctx, hastenLimit)
		p.ends[pod.UID] = end
		p.asking.Go(func() { p.ask(asking, pod.Namespace, pod.Name) })
	}
	for uid, end := range p.ends {
		if !now[uid] {
			end()
			delete(p.ends, uid)
		}
	}
}

// stop ends all asking, and waits until it has ended.
func (p *probes) stop() {
	for _, end := range p.ends {
		end()
	}
	p.asking.Wait()
}

func (p *probes) ask(ctx context.Context, namespace, pod string) {
	for pause := firstProbe; ; pause = nextProbes {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotationProbe: time.Now().UTC().Format(time.RFC3339Nano)}}})
		if err != nil {
			return
		}
		_, err = p.cluster.CoreV1().Pods(namespace).Patch(ctx, pod, types.MergePatchType, change, metav1.PatchOptions{FieldManager: fieldManager})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
			return
		}
	}
}
