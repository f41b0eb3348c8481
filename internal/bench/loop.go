package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/gobinary"
	"slipway.dev/slipway/internal/kube"
)

// loop is an environment with the example app in it twice: once kept by `slipway dev`, once by hand.
type loop struct {
	*bench
	client   kubernetes.Interface
	registry string
	source   string // the copy that `dev` watches
	byHand   string // the copy that is built by hand
	builder  *gobinary.Builder

	kubectl, crane string    // the programs that push and point by hand
	ready          time.Time // when a pod became Ready last
}

// marker is the text of the example that each edit replaces.
const marker = "1.0.0"

// iterationLimit ends a run that hangs.
const iterationLimit = 2 * time.Minute

// measureLoop compares a save under `slipway dev`, up to the Ready pod of the new image, with the same steps by hand.
func measureLoop(ctx context.Context, b *bench) ([]figure, error) {
	defer func() {
		_, _ = b.run(context.WithoutCancel(ctx), b.slipway, "down", "--name", environmentName)
	}()
	l, err := newLoop(ctx, b)
	if err != nil {
		return nil, err
	}
	defer l.builder.Close()
	dev, err := l.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer dev.stop()
	if _, err := l.awaitPod(ctx, "hello", ""); err != nil {
		return nil, err
	}
	if err := l.deployByHand(ctx); err != nil {
		return nil, err
	}
	if err := dev.watches(ctx, 1); err != nil {
		return nil, err
	}
	byDev, byHand, err := l.pairsOf(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("%w\ndev said:\n%s", err, dev.said())
	}
	dev.stop()
	pushed, err := l.pushes(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{
		{"loop_ratio", median(byDev) / median(byHand), "x", "<= 0.9 x", fmt.Sprintf("save to Ready pod of the new image under `slipway dev`, the whole chain of profile basic (%.2f s), to `go build`, `crane push` of the same layers and `kubectl set image` (%.2f s); of the means: %.2f x", median(byDev), median(byHand), mean(byDev)/mean(byHand))},
		{"push_to_deployment", median(pushed), "s", "<= 2 s", "end of a push by hand to the Deployment's new image, with push events"},
	}, nil
}

// loopPairs is how many times more pairs are measured here than of other figures: they are cheap, and noisy.
const loopPairs = 4

// kubeletPeriod is how often the kubelet asks the runtime what became of the containers that it has started, and so how
// long a pod that runs can be without being Ready, by chance.
const kubeletPeriod = time.Second

// pause waits before one half of pair i. Each save comes at another moment of the kubelet's period, evenly: what begins
// right after the pod before was Ready always meets the same one, and is as quick as that and not as the loop.
func (l *loop) pause(ctx context.Context, i int) error {
	offset := kubeletPeriod * time.Duration(i) / time.Duration(loopPairs*l.pairs)
	left := kubeletPeriod + offset - time.Since(l.ready)
	for left < 0 {
		left += kubeletPeriod
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(left):
		return nil
	}
}

func (l *loop) pairsOf(ctx context.Context, dev *session) (byDev, byHand []float64, err error) {
	for i := range loopPairs * l.pairs {
		version := fmt.Sprintf("%d.%d.%d", 7, i, time.Now().Unix()%1000)
		if err := l.pause(ctx, i); err != nil {
			return nil, nil, err
		}
		took, err := l.save(ctx, version)
		if err != nil {
			return nil, nil, fmt.Errorf("by dev: %w", err)
		}
		byDev = append(byDev, took.Seconds())
		if err := dev.watches(ctx, i+2); err != nil {
			return nil, nil, err
		}
		if err := l.pause(ctx, i); err != nil {
			return nil, nil, err
		}
		if took, err = l.hand(ctx, version+"-hand"); err != nil {
			return nil, nil, fmt.Errorf("by hand: %w", err)
		}
		byHand = append(byHand, took.Seconds())
		fmt.Fprintf(os.Stderr, "pair %d: dev %.2f s, by hand %.2f s\n", i+1, byDev[i], byHand[i])
	}
	return byDev, byHand, nil
}

// newLoop makes the environment; flags are more of those of `up`.
func newLoop(ctx context.Context, b *bench, flags ...string) (*loop, error) {
	if _, err := b.run(ctx, b.slipway, append([]string{"up", "--name", environmentName}, flags...)...); err != nil {
		return nil, err
	}
	config, err := kube.ConfigFor(filepath.Join(b.work, "kubeconfig"), "kind-"+environmentName)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	hosting, err := client.CoreV1().ConfigMaps("slipway-system").Get(ctx, "slipway-environment", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	certificates, err := embedded.CACertificates()
	if err != nil {
		return nil, err
	}
	zones, err := embedded.ZoneInfo()
	if err != nil {
		return nil, err
	}
	l := &loop{
		bench: b, client: client, registry: hosting.Data["registry"], source: filepath.Join(b.work, "dev"), byHand: filepath.Join(b.work, "hand"),
		// As the go command is without settings; `dev` has some of its own.
		builder: gobinary.New(appfile.Go{Env: map[string]string{"GOGC": "100"}}, &baseimage.Finder{Own: baseimage.Own{CACertificates: certificates, ZoneInfo: zones}}),
	}
	for _, dir := range []string{l.source, l.byHand} {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(b.root, "examples", "hello"))); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// edit replaces the version in a copy of the example; every other byte is as it was.
func (l *loop) edit(dir, version string) error {
	original, err := os.ReadFile(filepath.Join(l.root, "examples", "hello", "main.go"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(original), marker) {
		return errors.New("the example has no " + marker)
	}
	return os.WriteFile(filepath.Join(dir, "main.go"), []byte(strings.ReplaceAll(string(original), marker, version)), 0o600)
}

// save edits what `dev` watches and returns how long it takes until a pod of another image is Ready.
func (l *loop) save(ctx context.Context, version string) (time.Duration, error) {
	image, err := l.imageOf(ctx, "hello")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := l.edit(l.source, version); err != nil {
		return 0, err
	}
	ready, err := l.awaitPod(ctx, "hello", image)
	return ready.Sub(start), err
}

// build makes the image of the copy that is built by hand, as slipway makes it: the comparison is of the way, not of
// the content.
func (l *loop) build(ctx context.Context) (v1.Image, error) {
	built, err := l.builder.Build(ctx, build.Request{Dir: l.byHand, Name: "hello", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}})
	if err != nil {
		return nil, err
	}
	return built.Image, nil
}

func (l *loop) push(ctx context.Context, repository string, image v1.Image) (string, error) {
	tag, err := name.NewTag(l.registry + "/" + repository)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, image, remote.WithContext(ctx)); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return tag.Context().Digest(digest.String()).String(), err
}

// imageOf is the image that a Deployment asks for.
func (l *loop) imageOf(ctx context.Context, app string) (string, error) {
	found, err := l.client.AppsV1().Deployments("default").Get(ctx, app, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return found.Spec.Template.Spec.Containers[0].Image, nil
}

// awaitPod watches until a pod of the app with another image than before is Ready, and returns when that was seen.
func (l *loop) awaitPod(ctx context.Context, app, before string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, iterationLimit)
	defer cancel()
	for {
		stream, err := l.client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + app})
		if err != nil {
			return time.Time{}, err
		}
		for event := range stream.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || event.Type == watch.Deleted || pod.DeletionTimestamp != nil || pod.Spec.Containers[0].Image == before {
				continue
			}
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					stream.Stop()
					l.ready = time.Now()
					return l.ready, nil
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return time.Time{}, fmt.Errorf("waiting for a pod of %s: %w", app, err)
		}
	}
}

// workloadByTag follows a tag, as a user who pushes by hand has it.
const workloadByTag = `{"apiVersion":"carto.run/v1alpha1","kind":"Workload","metadata":{"name":"tagged","namespace":"default",
"labels":{"apps.tanzu.vmware.com/workload-type":"web"}},"spec":{"image":"%s/bench/tagged"}}`

// pushes measures how long a pushed tag takes to reach the Deployment.
func (l *loop) pushes(ctx context.Context) ([]float64, error) {
	image, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := l.push(ctx, "bench/tagged", image); err != nil {
		return nil, err
	}
	object := l.client.AppsV1().RESTClient().Post().AbsPath("/apis/carto.run/v1alpha1/namespaces/default/workloads").
		SetHeader("Content-Type", "application/json").Body(fmt.Appendf(nil, workloadByTag, l.registry)).Do(ctx)
	if err := object.Error(); err != nil {
		return nil, err
	}
	if _, err := l.awaitPod(ctx, "tagged", ""); err != nil {
		return nil, err
	}
	var took []float64
	for i := range l.pairs {
		if err := l.edit(l.byHand, fmt.Sprintf("8.0.%d", i)); err != nil {
			return nil, err
		}
		if image, err = l.build(ctx); err != nil {
			return nil, err
		}
		ref, err := l.push(ctx, "bench/tagged", image)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := l.awaitImage(ctx, "tagged", ref); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start).Seconds())
	}
	return took, nil
}

func (l *loop) awaitImage(ctx context.Context, app, image string) error {
	ctx, cancel := context.WithTimeout(ctx, iterationLimit)
	defer cancel()
	for {
		stream, err := l.client.AppsV1().Deployments("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + app})
		if err != nil {
			return err
		}
		for event := range stream.ResultChan() {
			if deployment, ok := event.Object.(*appsv1.Deployment); ok && deployment.Spec.Template.Spec.Containers[0].Image == image {
				stream.Stop()
				return nil
			}
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for deployment %s: %w", app, err)
		}
	}
}
