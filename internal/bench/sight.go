package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
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
	end           error           // why the watch has ended; nil while it goes on
}

// observe watches one kind until ctx ends.
func observe(ctx context.Context, server *server, kind schema.GroupVersionResource) (*sight, error) {
	clients, err := kubernetes.NewForConfig(server.config)
	if err != nil {
		return nil, err
	}
	prefix := "/apis/" + kind.Group
	if kind.Group == "" {
		prefix = "/api"
	}
	// Resource version 0 begins with all that is there.
	stream, err := clients.RESTClient().Get().AbsPath(prefix, kind.Version, "namespaces", "default", kind.Resource).
		Param("watch", "true").Param("resourceVersion", "0").Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", kind.Resource, err)
	}
	s := &sight{changed: make(chan struct{}, 1), judged: map[string]bool{}, ready: map[string]bool{}, edited: map[string]bool{}}
	go func() {
		defer stream.Close()
		for events := json.NewDecoder(stream); ; {
			var event watchEvent
			if err := events.Decode(&event); err != nil {
				s.ended(fmt.Errorf("watching %s: %w", kind.Resource, err))
				return
			}
			s.see(&event)
		}
	}()
	return s, nil
}

// watchEvent is of a watch's event what is looked at here. An informer would hold all of every object, which takes an eighth of
// what the controller does.
type watchEvent struct {
	Object struct {
		Kind     string
		Metadata struct{ Name string }
		Data     map[string]string
		Status   struct {
			Conditions []struct{ Type, Status string }
		}
	}
}

func (s *sight) see(event *watchEvent) {
	object, name := &event.Object, event.Object.Metadata.Name
	s.mu.Lock()
	defer s.mu.Unlock()
	if object.Kind == "Workload" {
		delete(s.ready, name)
		for _, condition := range object.Status.Conditions {
			if condition.Type == "Ready" {
				s.judged[name] = true
				if condition.Status == "True" {
					s.ready[name] = true
				}
			}
		}
	} else if object.Data["edit"] == editedValue {
		s.edited[name] = true
	}
	s.wake()
}

// ended notes why nothing more is seen.
func (s *sight) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = err
	s.wake()
}

func (s *sight) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// await waits until what was seen is enough.
func (s *sight) await(ctx context.Context, what string, enough func(*sight) bool) error {
	for {
		s.mu.Lock()
		done, end := enough(s), s.end
		s.mu.Unlock()
		if done {
			return nil
		}
		if end != nil {
			return fmt.Errorf("waiting until %s: %w", what, end)
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
