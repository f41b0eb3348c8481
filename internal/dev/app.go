package dev

import (
	"path/filepath"
	"strings"

	"slipway.dev/slipway/internal/ui"
)

// app is one of a session's apps. Its runs never overlap, so but for the forwarding it needs no lock.
type app struct {
	*session
	App
	name     string // its workload's, when the session began
	file     string // the workload's
	progress ui.Progress
	forward  *forward

	observer *observer // of the workload that was last applied; nil before
	checked  string    // the content of the workload file for which a chain was found
}

// newApp reads the app's workload; it does not reach the cluster.
func newApp(s *session, one App) (*app, *loadedWorkload, error) {
	a := &app{session: s, App: one, file: one.WorkloadFile, progress: s.Progress}
	if a.file == "" {
		a.file = filepath.Join(one.Dir, "workload.yaml")
	}
	loaded, err := readWorkload(a.file, s.Namespace, s.DefaultNamespace)
	if err != nil {
		return nil, nil, err
	}
	a.name = loaded.object.GetName()
	if len(s.Options.Apps) > 1 {
		a.progress = ui.Named(s.Progress, a.name)
	}
	return a, loaded, nil
}

// open begins what needs the cluster.
func (a *app) open() { a.forward = newForward(a.config, a.typed, a.progress) }

func (a *app) close() {
	a.forward.close()
	if a.observer != nil {
		a.observer.close()
	}
}

// fileElsewhere says whether the workload file is not among the watched ones.
func (a *app) fileElsewhere() bool {
	dir, err := filepath.Abs(a.Dir)
	if err != nil {
		return false
	}
	file, err := filepath.Abs(a.file)
	if err != nil {
		return false
	}
	inside, err := filepath.Rel(dir, file)
	return err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator))
}

// observe returns the observer of a workload, a new one when it is another workload than before.
func (a *app) observe(namespace, name string) *observer {
	if a.observer != nil && a.observer.namespace == namespace && a.observer.name == name {
		return a.observer
	}
	if a.observer != nil {
		a.observer.close()
	}
	a.observer = newObserver(a.typed, a.objects, namespace, name)
	return a.observer
}
