package fastlane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supervise/wire"
)

// annotation is that with which a template says that a container of a pod runs under the supervisor; its value
// is the container's name.
const annotation = "slipway.dev/supervised"

// Supervised says whether a supervisor is to run in pods with these annotations. Where none is, the template that made the
// pods does not know the fast lane.
func Supervised(annotations map[string]string) bool { return annotations[annotation] != "" }

// connectLimit is how long a supervisor may take to answer.
const connectLimit = 5 * time.Second

// pods are the workload's pods with a supervisor, as a watch tells of them. Each has its connection open, so that a
// save need not wait for one.
type pods struct {
	lane    *Lane
	factory informers.SharedInformerFactory
	synced  cache.InformerSynced
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	changed chan struct{}

	mutex sync.Mutex
	links map[types.UID]*link
}

// watchPods begins to watch the lane's pods.
func watchPods(ctx context.Context, l *Lane) *pods {
	ctx, cancel := context.WithCancel(ctx)
	p := &pods{lane: l, cancel: cancel, changed: make(chan struct{}, 1), links: map[types.UID]*link{}}
	p.factory = informers.NewSharedInformerFactoryWithOptions(l.Client, 0, informers.WithNamespace(l.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = labels.Set{v1alpha1.LabelWorkloadName: l.Workload}.String()
		}))
	informer := p.factory.Core().V1().Pods().Informer()
	p.synced = informer.HasSynced
	// The library tries again by itself.
	_ = informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { p.tell() }, UpdateFunc: func(any, any) { p.tell() }, DeleteFunc: func(any) { p.tell() },
	}) // an error means that it was stopped, which it was not
	p.factory.Start(ctx.Done())
	p.wait.Go(func() { p.keep(ctx) })
	return p
}

func (p *pods) tell() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *pods) close() {
	p.cancel()
	p.wait.Wait()
	p.factory.Shutdown()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, one := range p.links {
		one.hangUp()
	}
	clear(p.links)
}

// keep connects to pods that begin to run and brings them what others got before, until ctx ends. A pod of an older
// image may begin to run after a newer save went into the pod that it replaces.
func (p *pods) keep(ctx context.Context) {
	for {
		select {
		case <-p.changed:
		case <-ctx.Done():
			return
		}
		var wait sync.WaitGroup
		for _, one := range p.now() {
			wait.Go(func() {
				// What goes wrong here is met again by the next sync, which tells of it.
				_, _, _ = p.update(ctx, one)
			})
		}
		wait.Wait()
	}
}

// now returns the links to pods whose supervisor should be running, and forgets the others.
func (p *pods) now() []*link {
	list, err := p.factory.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	seen := map[types.UID]bool{}
	for _, pod := range list {
		if !canSync(pod) {
			continue
		}
		seen[pod.UID] = true
		if p.links[pod.UID] == nil {
			p.links[pod.UID] = &link{pod: pod}
		}
	}
	for uid, one := range p.links {
		if !seen[uid] {
			delete(p.links, uid)
			go one.hangUp() // it may be busy, and then ends with its pod
		}
	}
	return slices.SortedFunc(maps.Values(p.links), func(a, b *link) int { return strings.Compare(a.pod.Name, b.pod.Name) })
}

// canSync says whether a pod has a supervisor that runs.
func canSync(pod *corev1.Pod) bool {
	name := pod.Annotations[annotation]
	if name == "" || pod.DeletionTimestamp != nil {
		return false
	}
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == name && c.State.Running != nil
	})
}

// bring makes every pod have what is wanted now. One that cannot be reached counts only when no other can: it may be
// just beginning, and then gets it later. It returns the names of those that have it.
func (p *pods) bring(ctx context.Context) (names []string, silent string, err error) {
	if !cache.WaitForCacheSync(ctx.Done(), p.synced) {
		return nil, "", context.Cause(ctx)
	}
	list := p.now()
	if len(list) == 0 {
		return nil, "", &Unserved{"no pod with a supervisor runs"}
	}
	outcomes, errs := make([]outcome, len(list)), make([]error, len(list))
	var wait sync.WaitGroup
	for i, one := range list {
		wait.Go(func() { _, outcomes[i], errs[i] = p.update(ctx, one) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	for i, one := range list {
		if crash := (*CrashError)(nil); errors.As(errs[i], &crash) {
			return nil, "", crash
		}
		if errs[i] == nil {
			names = append(names, one.pod.Name)
			silent = outcomes[i].silent
		}
	}
	if len(names) == 0 {
		return nil, "", &Unserved{fmt.Sprintf("pod %s could not be synced: %v", list[0].pod.Name, errs[0])}
	}
	return names, silent, nil
}

// update makes a pod have what is wanted, if its image does not hold it. sent says whether there was anything to send.
func (p *pods) update(ctx context.Context, one *link) (sent bool, result outcome, err error) {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	if err := p.connect(ctx, one); err != nil {
		return false, outcome{}, err
	}
	p.lane.mutex.Lock()
	wanted := p.lane.wanted
	holds, known := p.lane.images[one.digest()]
	p.lane.mutex.Unlock()
	if !known {
		// An image that the chain made by itself of what it was given: which save that was is not known here.
		holds = 0
	}
	if max(holds, one.generation) >= wanted.generation {
		return false, outcome{}, nil
	}
	what := one.lacks(wanted)
	if what.empty() {
		one.generation = wanted.generation
		return false, outcome{}, nil
	}
	result, err = p.send(ctx, one, what)
	if err == nil {
		one.generation = wanted.generation
	}
	return true, result, err
}

// connect makes sure that there is a connection. The link's lock must be held.
func (p *pods) connect(ctx context.Context, one *link) error {
	if one.client != nil && one.client.alive() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectLimit, errors.New("its supervisor does not answer"))
	defer cancel()
	connection, err := p.lane.Dial(ctx, one.pod.Namespace, one.pod.Name, wire.DefaultPort)
	if err != nil {
		return err
	}
	if one.client, err = newClient(ctx, connection, one.token(), func(event wire.Event) { p.unasked(one, event) }); err != nil {
		return err
	}
	greeting := one.client.greeting
	if greeting.Program != one.program || len(greeting.Files) < len(one.files) {
		one.generation = 0 // it is not what it was
	}
	one.program, one.files = greeting.Program, map[string]string{}
	maps.Copy(one.files, greeting.Files)
	return nil
}

// unasked hears of the end of a synced process, long after it was synced.
func (p *pods) unasked(one *link, event wire.Event) {
	if event.Type == wire.Ended && p.lane.Ended != nil {
		p.lane.Ended(&CrashError{Pod: one.pod.Name, Code: event.Code, Lines: event.Lines})
	}
}

// send sends a change, over a new connection if the old one turns out to be lost. The link's lock must be held.
func (p *pods) send(ctx context.Context, one *link, what change) (result outcome, err error) {
	for range 2 {
		if err = p.connect(ctx, one); err != nil {
			return result, err
		}
		result, err = one.client.send(ctx, what)
		crash := (*CrashError)(nil)
		if errors.As(err, &crash) {
			crash.Pod = one.pod.Name
		}
		if err == nil || crash != nil || errors.Is(err, errRefused) || ctx.Err() != nil {
			break
		}
	}
	if err != nil && !errors.As(err, new(*CrashError)) {
		return result, err
	}
	if what.program != nil {
		one.program = what.program.SHA256
	}
	for _, f := range what.files {
		one.files[f.path] = f.SHA256
	}
	for _, name := range what.removed {
		one.files[name] = ""
	}
	return result, err
}

// settle gives pods of an image what that holds, where something else was synced into them. Such a pod stays when the
// chain arrives at an image that it had before.
func (p *pods) settle(ctx context.Context, digest string, image v1.Image) error {
	for _, one := range p.now() {
		if one.digest() != digest {
			continue
		}
		if err := p.settleOne(ctx, one, image); err != nil {
			return fmt.Errorf("making pod %s what its image holds: %w", one.pod.Name, err)
		}
	}
	return nil
}

func (p *pods) settleOne(ctx context.Context, one *link, image v1.Image) error {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	if err := p.connect(ctx, one); err != nil {
		return err
	}
	what, err := one.strays(image)
	if err != nil || what.empty() {
		return err
	}
	_, err = p.send(ctx, one, what)
	return err
}
