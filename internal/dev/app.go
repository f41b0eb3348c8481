package dev

import (
	"context"
	"path/filepath"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/fastlane"
	"slipway.dev/slipway/internal/ui"
)

// app is one of a session's apps. Its runs never overlap, and what tends to it between them does not overlap them, so
// it needs no lock.
type app struct {
	*session
	*cluster // where the current run goes
	App
	name     string // its workload's, when the session began
	file     string // the workload's
	view     ui.AppView
	progress ui.Progress // the view, for what is said
	forwards *forwards
	life     context.Context //nolint:containedctx // of the session, for what outlives a run
	asked    chan trigger    // runs that are wanted for another reason than a save

	observer   *observer       // of the workload that was last applied; nil before
	checked    string          // the content of the workload file for which a chain was found
	sources    map[string]bool // digests of the source artifacts that the workload has named
	fromSource bool            // whether that chain starts at source
	kept       *build.Result   // what was built from the files as they are; nil where that is not sure
	applied    appliedTo       // what the last run made of the workload
	arrived    target          // what the last run that passed arrived at; zero before
	// chainless is the workload for which the last run found no supply chain; nil when it found one.
	chainless *v1alpha1.Workload
	halted    *halted        // where the last run ended that the cluster kept from arriving; nil for none
	selfBegun selfBegun      // up to the last run
	url       string         // where the last run that passed was seen to answer; "" is none
	mark      uint64         // of the build that was begun for this run; 0 is none
	fresh     bool           // whether this run must not use what was built before
	early     *early         // the build that was begun last; nil for none
	size      int            // how many files the source of the last build has
	attempts  int            // how often the run was repeated for an outage
	lane      *fastlane.Lane // into the running pods; nil where nothing is to be synced
	stock     *stock         // images of the source, for chains that start there
	noLane    bool           // whether it was said that there can be none
	unserved  bool           // whether the pods of the last run that passed have no supervisor, though there is a lane
}

// newApp reads the app's workload; it does not reach the cluster.
func newApp(s *session, one App) (*app, *loadedWorkload, error) {
	a := &app{session: s, App: one, file: one.WorkloadFile, asked: make(chan trigger, 1)}
	if a.file == "" {
		a.file = filepath.Join(one.Dir, "workload.yaml")
	}
	loaded, err := readWorkload(a.file, s.Namespace, s.DefaultNamespace)
	if err != nil {
		return nil, nil, err
	}
	a.name, a.stock = loaded.object.GetName(), newStock(a)
	return a, loaded, nil
}

// open begins what needs the cluster and the screen.
func (a *app) open(ctx context.Context) {
	a.life = ctx
	a.view = a.Screen.App(a.name)
	a.progress = a.view
	a.forwards = newForwards(a.cluster, a.LocalPorts, a.progress)
}

// refresh makes the run go to the cluster that is the environment's now.
func (a *app) refresh() {
	now := a.current.Load()
	if a.cluster == now {
		return
	}
	a.forget()
	a.cluster, a.checked, a.applied = now, "", appliedTo{}
	a.forwards.move(now)
}

// forget ends the watching of the workload.
func (a *app) forget() {
	a.closeLane()
	a.stock.close()
	if a.observer != nil {
		a.observer.close()
		a.observer = nil
	}
}

func (a *app) close() {
	a.forwards.close()
	a.forget()
}

// ask wants a run. One that is wanted already is enough.
func (a *app) ask(t trigger) {
	select {
	case a.asked <- t:
	default:
	}
}

// fileElsewhere says whether the workload file is not in the app's folder.
func (a *app) fileElsewhere() bool {
	inside, err := filepath.Rel(absolute(a.Dir), absolute(a.file))
	return err != nil || !filepath.IsLocal(inside)
}

// observe returns the observer of a workload, a new one when it is another workload than before.
func (a *app) observe(namespace, name string) *observer {
	if a.observer != nil && a.observer.namespace == namespace && a.observer.name == name {
		return a.observer
	}
	a.forget()
	a.observer = newObserver(a.typed, a.objects, namespace, name)
	if !a.Once {
		a.observer.tail(a.life, a.typed, a.view)
	}
	return a.observer
}

// addresses are where the app answers, the best first.
func (a *app) addresses() []ui.Address {
	var list []ui.Address
	if a.url != "" {
		list = append(list, ui.Address{URL: a.url})
	}
	return append(list, a.forwards.describe()...)
}
