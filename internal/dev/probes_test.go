package dev

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestProbesAreAskedFor: soon, then once a second, until the pod is not awaited any more; each time with another value.
func TestProbesAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app-1", UID: "1"}}
		cluster := fake.NewClientset(pod)
		values := map[string]bool{}
		cluster.PrependReactor("patch", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if patch, ok := action.(clienttesting.PatchAction); ok {
				values[string(patch.GetPatch())] = true
			}
			return false, nil, nil
		})
		p := newProbes(cluster)
		defer p.stop()
		p.hasten(t.Context(), []*corev1.Pod{pod})
		p.hasten(t.Context(), []*corev1.Pod{pod}) // it is asked for already
		time.Sleep(firstProbe + 2*nextProbes + firstProbe)
		synctest.Wait()
		if len(values) != 3 || len(cluster.Actions()) != 3 {
			t.Errorf("%d requests with %d values, want 3", len(cluster.Actions()), len(values))
		}
		now, err := cluster.CoreV1().Pods("team").Get(t.Context(), "app-1", metav1.GetOptions{})
		if err != nil || now.Annotations[annotationProbe] == "" {
			t.Errorf("the pod has %v, %v", now.Annotations, err)
		}
		p.hasten(t.Context(), nil)
		cluster.ClearActions()
		time.Sleep(10 * nextProbes)
		if asked := cluster.Actions(); len(asked) != 0 {
			t.Errorf("a pod that is Ready is still asked for: %v", asked)
		}
	})
}

// TestProbesEnd: after some time, and at once where pods may not be written.
func TestProbesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app-1", UID: "1"}}
		cluster := fake.NewClientset(pod)
		p := newProbes(cluster)
		defer p.stop()
		p.hasten(t.Context(), []*corev1.Pod{pod})
		time.Sleep(10 * hastenLimit)
		if most := int(hastenLimit/nextProbes) + 1; len(cluster.Actions()) > most {
			t.Errorf("%d requests, want at most %d", len(cluster.Actions()), most)
		}

		forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "app-1", nil)
		for _, test := range []struct {
			err  error
			want int
		}{{forbidden, 1}, {errors.New("the connection is gone"), 3}} {
			refusing := fake.NewClientset(pod)
			refusing.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
			q := newProbes(refusing)
			q.hasten(t.Context(), []*corev1.Pod{pod})
			time.Sleep(firstProbe + 2*nextProbes + firstProbe)
			if asked := len(refusing.Actions()); asked != test.want {
				t.Errorf("%v: %d requests, want %d", test.err, asked, test.want)
			}
			q.stop()
		}
	})
}
