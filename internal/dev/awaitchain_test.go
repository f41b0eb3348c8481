package dev

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestAwaitChain has chains come for a workload that had none: the run begins with the one that selects it.
func TestAwaitChain(t *testing.T) {
	chain := func(name, kind string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "carto.run/v1alpha1", "kind": "ClusterSupplyChain", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"selector": map[string]any{"type": kind}},
		}}
	}
	objects := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{chainResource: "ClusterSupplyChainList"}, chain("other", "worker"))
	a := &app{session: &session{}, cluster: &cluster{objects: objects}, asked: make(chan trigger, 1)}
	loaded := &loadedWorkload{workload: &v1alpha1.Workload{ObjectMeta: metav1.ObjectMeta{Name: "w", Labels: map[string]string{"type": "web"}}}, content: "x"}
	if err := a.checkChain(t.Context(), loaded); err == nil || a.chainless == nil {
		t.Fatalf("checkChain() = %v, and awaits a chain for %v", err, a.chainless)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.tend(ctx)
	}()
	create := func(one *unstructured.Unstructured) {
		if _, err := objects.Resource(chainResource).Create(ctx, one, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	}
	create(chain("another", "server"))
	create(chain("web", "web"))
	if next := <-a.asked; next.why == "" || len(next.files) > 0 {
		t.Errorf("the next run is for %+v", next)
	}
	<-ended
	if err := a.checkChain(ctx, loaded); err != nil || a.chainless != nil {
		t.Errorf("checkChain() = %v, and awaits a chain for %v", err, a.chainless)
	}

	// Whoever ends the loop ends the waiting.
	a.chainless = &v1alpha1.Workload{ObjectMeta: metav1.ObjectMeta{Name: "none"}}
	cancel()
	a.tend(ctx)
}
