package fulfil

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	cartov1alpha1 "slipway.dev/slipway/api/carto/v1alpha1"
)

// fulfiller is one Watch or Once.
type fulfiller struct {
	Options
	slots chan struct{}   // has an element for every build that is under way
	life  context.Context //nolint:containedctx // of the workers
	// artifacts fetches sources; nil means a client of its own.
	artifacts *http.Client
	known     func() bool // whether all Builds have been told of that were there at the beginning

	engineBases chan struct{} // has a value when there is a Build with a base of an engine

	mutex   sync.Mutex // guards what follows, and Observe
	workers map[types.NamespacedName]*worker
	only    map[types.NamespacedName]string // the requests that Once is for; nil means all
	left    chan struct{}                   // closed when only has become empty
	failed  error                           // what kept Once from its work
	busy    sync.WaitGroup                  // of the workers
}

func newFulfiller(o Options) *fulfiller {
	if o.Jobs == 0 {
		o.Jobs = DefaultJobs
	}
	if o.Observe == nil {
		o.Observe = func(Outcome) {}
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	return &fulfiller{Options: o, slots: make(chan struct{}, o.Jobs), workers: map[types.NamespacedName]*worker{}, left: make(chan struct{}), engineBases: make(chan struct{}, 1)}
}

// Watch fulfils requests, those that are open and those that come, until ctx ends; it returns ctx's error. A registry or
// cluster that does not answer is waited for.
func Watch(ctx context.Context, o Options) error {
	f := newFulfiller(o)
	end, err := f.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	if f.Events != "" {
		f.busy.Go(func() { f.followBases(f.life) })
	}
	if f.Engine != nil {
		f.busy.Go(func() { f.followEngine(f.life) })
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.Restocked:
			f.wake()
		}
	}
}

// wake has all workers look again.
func (f *fulfiller) wake() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, w := range f.workers {
		w.resting = ""
		w.wake()
	}
}

// Once fulfils the requests that are open now, and returns when the stage has seen what became of them. A request that
// another builder has claimed is waited for, too. An error means that something did not answer; what does not build is in
// the outcomes alone.
func Once(ctx context.Context, o Options) ([]Outcome, error) {
	var outcomes []Outcome
	observe := o.Observe
	o.Observe = func(one Outcome) {
		outcomes = append(outcomes, one)
		if observe != nil {
			observe(one)
		}
	}
	f := newFulfiller(o)
	found, err := f.Cluster.Resource(resource).Namespace(f.Namespace).List(ctx, f.selection())
	if err != nil {
		return nil, fmt.Errorf("listing the builds: %w", err)
	}
	f.only = map[types.NamespacedName]string{}
	for i := range found.Items {
		b, err := read(&found.Items[i])
		if err != nil {
			return nil, err
		}
		if open(b) {
			f.only[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}] = b.Status.Request.ID
		}
	}
	if len(f.only) == 0 {
		return nil, nil
	}
	end, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.left:
		err = f.failed
	case <-ctx.Done():
		err = ctx.Err()
	}
	end()
	return outcomes, err
}

func (f *fulfiller) selection() metav1.ListOptions {
	if f.Workload == "" {
		return metav1.ListOptions{}
	}
	return metav1.ListOptions{LabelSelector: labels.Set{cartov1alpha1.LabelWorkloadName: f.Workload}.String()}
}

// start begins to watch. What it returns ends that, and waits for all that is under way.
func (f *fulfiller) start(ctx context.Context) (end func(), err error) {
	life, cancel := context.WithCancel(ctx)
	f.life = life
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(f.Cluster, 0, f.Namespace, func(options *metav1.ListOptions) {
		options.LabelSelector = f.selection().LabelSelector
	})
	informer := factory.ForResource(resource).Informer()
	_ = informer.SetWatchErrorHandlerWithContext(f.outage()) // an error means that it has started, which it has not
	told, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { f.tell(object, false) },
		UpdateFunc: func(_, object any) { f.tell(object, false) },
		DeleteFunc: func(object any) { f.tell(object, true) },
	})
	if err != nil {
		cancel()
		return nil, err
	}
	f.known = told.HasSynced
	factory.Start(life.Done())
	return func() {
		cancel()
		factory.Shutdown()
		f.busy.Wait()
	}, nil
}

// outage says once that the cluster does not answer: the library tries again by itself.
func (f *fulfiller) outage() func(context.Context, *cache.Reflector, error) {
	var last time.Time
	return func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil && time.Since(last) > time.Minute {
			last = time.Now()
			f.Progress.Warn("The cluster's builds cannot be watched; trying again (%v)", err)
		}
	}
}

// tell passes news of a Build to its worker, which there is as long as the Build.
func (f *fulfiller) tell(object any, deleted bool) {
	if tombstone, is := object.(cache.DeletedFinalStateUnknown); is {
		object = tombstone.Obj
	}
	raw, is := object.(*unstructured.Unstructured)
	if !is {
		return
	}
	b, err := read(raw)
	if err != nil {
		f.Progress.Warn("%v", err)
		return
	}
	key := types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
	if f.Stock != nil && !deleted {
		f.Stock.Expect(orderOf(b))
	}
	if inEngine(b) {
		notify(f.engineBases)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	w := f.workers[key]
	if f.only != nil {
		id, wanted := f.only[key]
		if !wanted {
			return
		}
		if deleted || settled(b, id) {
			defer f.done(key)
		}
	}
	if w == nil {
		if deleted || f.life.Err() != nil {
			return
		}
		w = &worker{fulfiller: f, key: key, news: make(chan struct{}, 1), doubt: make(chan struct{}, 1)}
		f.workers[key] = w
		f.busy.Go(w.run)
	}
	w.hear(b, deleted)
	if deleted {
		delete(f.workers, key)
	}
}

// done notes that Once need not wait for a request any more.
func (f *fulfiller) done(key types.NamespacedName) {
	delete(f.only, key)
	if len(f.only) == 0 {
		close(f.left)
	}
}

// giveUp ends Once with an error; Watch does not give up.
func (f *fulfiller) giveUp(key types.NamespacedName, err error) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, wanted := f.only[key]; wanted {
		f.failed = errors.Join(f.failed, fmt.Errorf("build %s: %w", key, err))
		f.done(key)
	}
	return f.only != nil
}

// wanted says whether a request is one that this fulfiller is for.
func (f *fulfiller) wanted(key types.NamespacedName, id string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.only == nil || f.only[key] == id
}
