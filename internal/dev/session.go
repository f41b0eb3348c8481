package dev

import (
	"context"
	"path/filepath"
	"strings"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/registry"
)

// session is what lives as long as a `dev` does.
type session struct {
	Options
	file    string // the workload's
	objects dynamic.Interface
	typed   kubernetes.Interface
	around  *surroundings
	pusher  *registry.Pusher
	forward *forward

	observer *observer // of the workload that was last applied; nil before
	checked  string    // the content of the workload file for which a chain was found
}

// newSession looks at everything that can be wrong before anything is built.
func newSession(ctx context.Context, o Options) (*session, error) {
	s := &session{Options: o, file: o.WorkloadFile, pusher: registry.NewPusher(nil)}
	if s.file == "" {
		s.file = filepath.Join(o.Dir, "workload.yaml")
	}
	loaded, err := readWorkload(s.file, s.Namespace, s.DefaultNamespace)
	if err != nil {
		return nil, err
	}
	// Watches last as long as the session: a client's time limit would end them.
	config := rest.CopyConfig(o.Kube)
	config.Timeout = 0
	if s.typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if s.objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if s.around, err = lookAround(ctx, s.typed, o.Up); err != nil {
		return nil, err
	}
	if err := s.checkChain(ctx, loaded); err != nil {
		return nil, err
	}
	s.forward = newForward(config, s.typed, s.Progress)
	return s, nil
}

func (s *session) close() {
	s.forward.close()
	if s.observer != nil {
		s.observer.close()
	}
}

// ownFiles are written by a run, and so must not start another.
func (s *session) ownFiles() []string {
	if s.ReportFile == "" {
		return nil
	}
	return []string{xmlName(s.ReportFile), jsonName(s.ReportFile)}
}

// fileElsewhere says whether the workload file is not among the watched ones.
func (s *session) fileElsewhere() bool {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return false
	}
	file, err := filepath.Abs(s.file)
	if err != nil {
		return false
	}
	inside, err := filepath.Rel(dir, file)
	return err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator))
}

// observe returns the observer of a workload, a new one when it is another workload than before.
func (s *session) observe(namespace, name string) *observer {
	if s.observer != nil && s.observer.namespace == namespace && s.observer.name == name {
		return s.observer
	}
	if s.observer != nil {
		s.observer.close()
	}
	s.observer = newObserver(s.typed, s.objects, namespace, name)
	return s.observer
}
