package dev

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"slipway.dev/slipway/registry"
)

// session is what lives as long as a `dev` does, and what its apps share.
type session struct {
	Options
	current atomic.Pointer[cluster] // where runs that begin now go
	reach   *reach
	pusher  *registry.Pusher
	builds  chan struct{} // has an element for every build that is under way
	lessons chan struct{} // has an element while a builder learns
	apps    []*app
	beside  beside

	mutex   sync.Mutex      // guards what follows, and the report files
	reports map[*app]Report // of each app's last run
}

// newSession looks at everything that can be wrong before anything is built.
func newSession(ctx context.Context, o Options) (*session, error) {
	s := &session{Options: o, pusher: registry.NewPusher(nil), builds: make(chan struct{}, o.Jobs), lessons: make(chan struct{}, 1), reports: map[*app]Report{}, reach: newReach()}
	var loaded []*loadedWorkload
	for _, one := range o.Apps {
		a, workload, err := newApp(s, one)
		if err != nil {
			return nil, err
		}
		s.apps, loaded = append(s.apps, a), append(loaded, workload)
	}
	if err := s.distinct(loaded); err != nil {
		return nil, err
	}
	found, err := connect(ctx, o.Kube, s.reach, o.Up)
	if err != nil {
		return nil, err
	}
	s.current.Store(found)
	for i, a := range s.apps {
		a.cluster = found
		if err := a.checkChain(ctx, loaded[i]); err != nil {
			return nil, err
		}
	}
	s.beside.life, s.beside.end = context.WithCancel(ctx)
	s.beside.running, s.beside.rest = context.WithCancel(s.beside.life)
	for _, a := range s.apps {
		a.open(ctx)
	}
	return s, nil
}

// distinct makes sure that no two apps are the same: their runs would undo each other.
func (s *session) distinct(loaded []*loadedWorkload) error {
	if len(loaded) == 0 {
		return errors.New("there is no app to run")
	}
	known := map[string]string{}
	for i, workload := range loaded {
		for _, key := range []string{"the folder " + absolute(s.apps[i].Dir), "the workload " + workload.object.GetNamespace() + "/" + workload.object.GetName()} {
			if other, twice := known[key]; twice {
				return fmt.Errorf("%s and %s are the same app: both are %s", other, s.apps[i].Dir, key)
			}
			known[key] = s.apps[i].Dir
		}
	}
	return nil
}

// absolute is a path without symbolic links, as far as that can be found out.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

func (s *session) close() {
	s.beside.rest()
	s.beside.jobs.Wait()
	s.beside.end()
	for _, a := range s.apps {
		a.close()
	}
}

// keep writes the reports, with this one for its app, and passes it on.
func (s *session) keep(a *app, r Report) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Observe(r)
	s.reports[a] = r
	if s.ReportFile == "" {
		return nil
	}
	var all []Report
	for _, a := range s.apps {
		if r, there := s.reports[a]; there {
			all = append(all, r)
		}
	}
	return writeReports(s.ReportFile, all)
}

// ownFiles are written by a run, and so must not start another.
func (s *session) ownFiles() []string {
	if s.ReportFile == "" {
		return nil
	}
	return []string{xmlName(s.ReportFile), jsonName(s.ReportFile)}
}

// noSource are the files and folders that are not the app's source, whatever ignore files say.
func (a *app) noSource() []string { return slices.Concat(a.ownFiles(), a.Ignore) }
