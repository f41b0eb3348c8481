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

var (
	workloads   = schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: "workloads"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// sight is what a watch has seen of workloads or of config maps that were stamped for them, by name. Who looks takes
// time from what is measured, so that only what is waited for is watched.
type sight struct {
	mu      sync.Mutex
	changed chan struct{}

	judged, ready map[string]bool // workloads with a status, and those that are Ready
	edited        map[string]bool // config maps as the edited template has them
}

// observe watches one kind until ctx ends.
func observe(ctx context.Context, server *server, kind schema.GroupVersionResource) (*sight, error) {
	from, err := dynamic.NewForConfig(server.config)
	if err != nil {
		return nil, err
	}
	s := &sight{changed: make(chan struct{}, 1), judged: map[string]bool{}, ready: map[string]bool{}, edited: map[string]bool{}}
	informer := dynamicinformer.NewFilteredDynamicInformer(from, kind, "default", 0, nil, nil).Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: s.see, UpdateFunc: func(_, object any) { s.see(object) },
	}); err != nil {
		return nil, err
	}
	go informer.Run(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("watching %s: %w", kind.Resource, ctx.Err())
	}
	return s, nil
}

func (s *sight) see(seen any) {
	object, ok := seen.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if object.GetKind() == "Workload" {
		s.judge(object)
	} else if edit, _, _ := unstructured.NestedString(object.Object, "data", "edit"); edit == editedValue {
		s.edited[object.GetName()] = true
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
	return fmt.Sprintf("%d workloads judged, %d Ready, %d config maps edited", len(s.judged), len(s.ready), len(s.edited))
}
