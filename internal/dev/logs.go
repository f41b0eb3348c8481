package dev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/dev/podlog"
	"slipway.dev/slipway/internal/hint"
)

// LogsOptions say which lines Logs shows. Kube, Namespace, Workload and Show must be set.
type LogsOptions struct {
	Kube                *rest.Config
	Namespace, Workload string
	Stage               string        // of the supply chain, whose pods alone count; "" means all
	Follow              bool          // go on until ctx ends
	Previous            bool          // what each container wrote before it was started again
	Tail                int           // how many of the last lines of each container; 0 means all
	Since               time.Duration // how old a line may be; 0 means any age
	// Show is given each line. Calls for several containers come at the same time with Follow.
	Show func(pod, container, line string)
}

// Logs shows what the pods of a workload wrote, and with Follow what they write, also those that come later. Without
// Follow, that there is no pod is an error.
func Logs(ctx context.Context, o LogsOptions) error {
	config := rest.CopyConfig(o.Kube)
	config.Timeout = 0 // following lasts
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	workload, err := findWorkload(ctx, config, o)
	if err != nil {
		return err
	}
	w := newWhose(client, workload, o)
	defer w.close()
	if err := w.sync(ctx); err != nil {
		return err
	}
	read := podlog.Options{Lines: o.Tail}
	if o.Since > 0 {
		read.Since = time.Now().Add(-o.Since)
	}
	if o.Follow {
		tail := podlog.Follow(ctx, client, read, w.changed, w.pods, o.Show)
		<-ctx.Done()
		tail.Close()
		return ctx.Err()
	}
	pods := w.pods()
	if len(pods) == 0 {
		return hint.Withf(fmt.Errorf("workload %s/%s has no pods%s", o.Namespace, o.Workload, ofStage(o.Stage)),
			"`kubectl describe workload -n %s %s` says how far it is; -f waits for pods", o.Namespace, o.Workload)
	}
	return printLogs(ctx, client, pods, read, o)
}

func ofStage(stage string) string {
	if stage == "" {
		return ""
	}
	return " of stage " + stage
}

// printLogs shows the lines of one container after the other. One whose log is not there is passed over, unless that
// is so of all.
func printLogs(ctx context.Context, client kubernetes.Interface, pods []*corev1.Pod, read podlog.Options, o LogsOptions) error {
	var problems []error
	shown := 0
	for _, pod := range pods {
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			err := podlog.Print(ctx, client, pod.Namespace, pod.Name, container.Name, o.Previous, read, func(line string) { o.Show(pod.Name, container.Name, line) })
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				problems = append(problems, err)
				continue
			}
			shown++
		}
	}
	if shown == 0 {
		return errors.Join(problems...)
	}
	return nil
}

// findWorkload reads the workload, and makes sure that it has the stage.
func findWorkload(ctx context.Context, config *rest.Config, o LogsOptions) (*v1alpha1.Workload, error) {
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	found, err := objects.Resource(workloadResource).Namespace(o.Namespace).Get(ctx, o.Workload, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		err = fmt.Errorf("there is no workload %s in namespace %s", o.Workload, o.Namespace)
		names, listErr := Workloads(ctx, config, "")
		if listErr != nil || len(names) == 0 {
			return nil, err
		}
		return nil, hint.Withf(err, "there are these (-n chooses the namespace): %s", strings.Join(names, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading workload %s/%s: %w", o.Namespace, o.Workload, err)
	}
	workload := &v1alpha1.Workload{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, workload); err != nil {
		return nil, fmt.Errorf("reading workload %s/%s: %w", o.Namespace, o.Workload, err)
	}
	var stages []string
	for _, resource := range workload.Status.Resources {
		stages = append(stages, resource.Name)
	}
	if o.Stage != "" && !slices.Contains(stages, o.Stage) {
		return nil, hint.Withf(fmt.Errorf("workload %s/%s has no stage %s", o.Namespace, o.Workload, o.Stage), "it has these: %s", strings.Join(stages, ", "))
	}
	return workload, nil
}

// Workloads are the names of a namespace's workloads; with "" those of all namespaces, as namespace/name.
func Workloads(ctx context.Context, config *rest.Config, namespace string) ([]string, error) {
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	found, err := objects.Resource(workloadResource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the workloads: %w", err)
	}
	var names []string
	for _, item := range found.Items {
		name := item.GetName()
		if namespace == "" {
			name = item.GetNamespace() + "/" + name
		}
		names = append(names, name)
	}
	return names, nil
}

// whose knows, by watches, which pods of a namespace are a workload's.
type whose struct {
	changed chan struct{}
	stop    chan struct{}
	once    sync.Once
	factory informers.SharedInformerFactory
	label   string
	roots   map[podlog.Root]bool
}

func newWhose(client kubernetes.Interface, workload *v1alpha1.Workload, o LogsOptions) *whose {
	w := &whose{changed: make(chan struct{}, 1), stop: make(chan struct{}), label: workload.Name, roots: podlog.Roots(workload, o.Stage)}
	if o.Stage != "" {
		w.label = "" // pods of other stages carry it, too
	}
	w.factory = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(workload.Namespace))
	tell := func(any) {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		w.factory.Core().V1().Pods().Informer(), w.factory.Apps().V1().ReplicaSets().Informer(), w.factory.Batch().V1().Jobs().Informer(),
	} {
		_ = informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}) // it tries again by itself
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, now any) { tell(now) }, DeleteFunc: tell})
	}
	w.factory.Start(w.stop)
	return w
}

func (w *whose) sync(ctx context.Context) error {
	for kind, synced := range w.factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("watching %s: %w", kind, context.Cause(ctx))
		}
	}
	return nil
}

func (w *whose) pods() []*corev1.Pod {
	all, err := w.factory.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil // which a cache never returns
	}
	var between []metav1.Object
	if sets, err := w.factory.Apps().V1().ReplicaSets().Lister().List(labels.Everything()); err == nil {
		for _, set := range sets {
			between = append(between, set)
		}
	}
	if jobs, err := w.factory.Batch().V1().Jobs().Lister().List(labels.Everything()); err == nil {
		for _, job := range jobs {
			between = append(between, job)
		}
	}
	return podlog.Of(all, w.label, w.roots, between)
}

func (w *whose) close() {
	w.once.Do(func() { close(w.stop) })
	w.factory.Shutdown()
}
