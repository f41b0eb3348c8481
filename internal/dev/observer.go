package dev

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/dev/podlog"
	"slipway.dev/slipway/internal/ui"
)

// observer keeps what the cluster tells of a workload and of what may come of it, by watches alone.
type observer struct {
	namespace, name string
	stop            chan struct{}
	tails           *podlog.Tail // nil when the pods' lines are not shown

	mutex       sync.Mutex
	subscribers map[chan struct{}]bool
	deliveries  dynamicinformer.DynamicSharedInformerFactory // what chains deliver by; nil until the workload's chain does
	digests     map[string]string                            // of what GitCommits write, by UID and generation

	objects   dynamic.Interface
	workloads dynamicinformer.DynamicSharedInformerFactory
	others    informers.SharedInformerFactory
	synced    []cache.InformerSynced
}

// newObserver begins to watch and returns at once.
func newObserver(typed kubernetes.Interface, objects dynamic.Interface, namespace, name string) *observer {
	o := &observer{
		namespace: namespace, name: name, objects: objects, stop: make(chan struct{}), subscribers: map[chan struct{}]bool{}, digests: map[string]string{},
		workloads: dynamicinformer.NewFilteredDynamicSharedInformerFactory(objects, 0, namespace, func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
		}),
		others: informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(namespace)),
	}
	watched := []cache.SharedIndexInformer{
		o.workloads.ForResource(workloadResource).Informer(),
		o.others.Apps().V1().Deployments().Informer(),
		o.others.Apps().V1().ReplicaSets().Informer(),
		o.others.Core().V1().Pods().Informer(),
	}
	for _, informer := range watched {
		o.synced = append(o.synced, informer.HasSynced)
		o.hear(informer)
	}
	o.workloads.Start(o.stop)
	o.others.Start(o.stop)
	return o
}

// hear has an informer's news told to the subscribers.
func (o *observer) hear(informer cache.SharedIndexInformer) {
	// The library tries again by itself, and a run that gets no news ends with its time limit.
	_ = informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { o.tell() }, UpdateFunc: func(any, any) { o.tell() }, DeleteFunc: func(any) { o.tell() },
	}) // an error means that it was stopped, which it was not
}

// followDelivery begins to watch what chains deliver by, once the workload's chain has made a deliverable: most chains
// make none, and where the chain starts does not tell. Nothing waits for it: until it has come, nothing is delivered.
func (o *observer) followDelivery(w *v1alpha1.Workload) {
	if w == nil || !slices.ContainsFunc(w.Status.Resources, makesDeliverable) {
		return
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.deliveries != nil {
		return
	}
	o.deliveries = dynamicinformer.NewFilteredDynamicSharedInformerFactory(o.objects, 0, o.namespace, nil)
	for _, resource := range deliveryResources {
		o.hear(o.deliveries.ForResource(resource).Informer())
	}
	o.deliveries.Start(o.stop)
}

// delivering is what chains deliver by; nil while that is not watched.
func (o *observer) delivering() dynamicinformer.DynamicSharedInformerFactory {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.deliveries
}

// subscribe returns a channel that has a value when something changed since it was last taken.
func (o *observer) subscribe() (changed <-chan struct{}, unsubscribe func()) {
	c := make(chan struct{}, 1)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.subscribers[c] = true
	return c, func() {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		delete(o.subscribers, c)
	}
}

func (o *observer) tell() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for c := range o.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// tail shows the lines that the workload's pods write from now on.
func (o *observer) tail(ctx context.Context, client kubernetes.Interface, view ui.AppView) {
	changed, unsubscribe := o.subscribe()
	o.tails = podlog.Follow(ctx, client, podlog.Options{Since: time.Now()}, changed, o.pods, view.Log)
	o.tails.AtEnd(unsubscribe)
}

// pods are those of the workload's Deployments, and those that carry its label.
func (o *observer) pods() []*corev1.Pod {
	now, err := o.see()
	if err != nil {
		return nil
	}
	var between []metav1.Object
	for _, set := range now.replicaSets {
		between = append(between, set)
	}
	return podlog.Of(now.pods, o.name, podlog.Roots(now.workload, ""), between)
}

// sync waits until everything that is there has been told of.
func (o *observer) sync(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), o.synced...) {
		return fmt.Errorf("watching the cluster: %w", context.Cause(ctx))
	}
	return nil
}

// see returns what is known now.
func (o *observer) see() (seen, error) {
	var s seen
	everything := labels.Everything()
	found, err := o.workloads.ForResource(workloadResource).Lister().ByNamespace(o.namespace).Get(o.name)
	if err == nil {
		object, ok := found.(*unstructured.Unstructured)
		if !ok {
			return s, fmt.Errorf("reading the workload: it came as %T", found)
		}
		s.workload = &v1alpha1.Workload{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, s.workload); err != nil {
			return s, fmt.Errorf("reading the workload: %w", err)
		}
	}
	if s.deployments, err = o.others.Apps().V1().Deployments().Lister().List(everything); err != nil {
		return s, err
	}
	if s.replicaSets, err = o.others.Apps().V1().ReplicaSets().Lister().List(everything); err != nil {
		return s, err
	}
	if s.pods, err = o.others.Core().V1().Pods().Lister().List(everything); err != nil {
		return s, err
	}
	if watched := o.delivering(); watched != nil {
		s.deliveries, err = o.delivered(watched)
	}
	return s, err
}

func (o *observer) close() {
	if o.tails != nil {
		o.tails.Close()
	}
	close(o.stop)
	o.workloads.Shutdown()
	if watched := o.delivering(); watched != nil {
		watched.Shutdown()
	}
	o.others.Shutdown()
}
