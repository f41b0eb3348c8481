package main

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// editedValue is what the edit of the template writes into the config maps.
const editedValue = "1"

// sight is what a watch has seen of workloads and of what was stamped for them, by name.
type sight struct {
	mu      sync.Mutex
	changed chan struct{}

	judged, ready map[string]bool // workloads with a status, and those that are Ready
	stamped       map[string]bool
	edited        map[string]bool // config maps as the edited template has them
}

// observe watches until ctx ends.
func observe(ctx context.Context, server *server) (*sight, error) {
	from, err := dynamic.NewForConfig(server.config)
	if err != nil {
		return nil, err
	}
	s := &sight{
		changed: make(chan struct{}, 1), judged: map[string]bool{}, ready: map[string]bool{},
		stamped: map[string]bool{}, edited: map[string]bool{},
	}
	informers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(from, 0, "default", nil)
	for _, kind := range []schema.GroupVersionResource{
		{Group: "carto.run", Version: "v1alpha1", Resource: "workloads"}, {Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"}, {Group: "apps", Version: "v1", Resource: "deployments"},
	} {
		informer := informers.ForResource(kind).Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(object any) { s.see(kind.Resource, object) }, UpdateFunc: func(_, object any) { s.see(kind.Resource, object) },
		}); err != nil {
			return nil, err
		}
	}
	informers.Start(ctx.Done())
	informers.WaitForCacheSync(ctx.Done())
	return s, nil
}

func (s *sight) see(resource string, seen any) {
	object, ok := seen.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case resource == "workloads":
		s.judge(object)
	case len(object.GetOwnerReferences()) > 0:
		s.stamped[resource+"/"+object.GetName()] = true
		if edit, _, _ := unstructured.NestedString(object.Object, "data", "edit"); resource == "configmaps" && edit == editedValue {
			s.edited[object.GetName()] = true
		}
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *sight) judge(workload *unstructured.Unstructured) {
	conditions, _, _ := unstructured.NestedSlice(workload.Object, "status", "conditions")
	delete(s.ready, workload.GetName())
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == "Ready" {
			s.judged[workload.GetName()] = true
			if c["status"] == "True" {
				s.ready[workload.GetName()] = true
			}
		}
	}
}

// await waits until what was seen is enough.
func (s *sight) await(ctx context.Context, what string, enough func(*sight) bool) error {
	for {
		s.mu.Lock()
		done := enough(s)
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s (%s): %w", what, s.state(), ctx.Err())
		}
	}
}

func (s *sight) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d workloads judged, %d Ready, %d objects, %d edited", len(s.judged), len(s.ready), len(s.stamped), len(s.edited))
}
