package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/kube"
)

// chain is an environment of profile testing with the example app in it, from a git repository and built on this machine.
type chain struct {
	*loop

	objects dynamic.Interface
	checker []string // the test command, as it would run here
}

// checkerSource is a test command that takes no time worth telling: what is measured is the chain, not somebody's tests.
const checkerSource = `package main

import "os"

func main() {
	if _, err := os.Stat("go.mod"); err != nil {
		os.Exit(1)
	}
}
`

// chainObjects are how sources are tested, and the app. The first %s is the test's image, the second the command, the
// third the repository.
const chainObjects = `{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"slipway.dev/v1alpha1","kind":"TestPlan","metadata":{"name":"check","namespace":"default","labels":{"apps.tanzu.vmware.com/pipeline":"test"}},
"spec":{"image":%q,"command":[%q]}},
{"apiVersion":"carto.run/v1alpha1","kind":"Workload","metadata":{"name":"hello","namespace":"default","labels":{"apps.tanzu.vmware.com/workload-type":"web","apps.tanzu.vmware.com/has-tests":"true"}},
"spec":{"source":{"git":{"url":%q,"ref":{"branch":"main"}}}}}]}`

// measureChain takes commits through the testing chain to the delivered pod, and takes off what has to be done without
// any chain: the compiler's time, the tests' own, and that of a pod with a new image.
func measureChain(ctx context.Context, b *bench) ([]figure, error) {
	defer func() {
		_, _ = b.run(context.WithoutCancel(ctx), b.slipway, "down", "--name", environmentName)
	}()
	l, err := newLoop(ctx, b, "--profile", "testing")
	if err != nil {
		return nil, err
	}
	defer l.builder.Close()
	c := &chain{loop: l}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	builder, err := l.startBackground(ctx, "build", "--watch", "--name", environmentName, "--progress", "plain")
	if err != nil {
		return nil, err
	}
	defer builder.stop()
	if err := c.commit(ctx, "1.0.0"); err != nil {
		return nil, err
	}
	if err := c.publish(ctx); err != nil {
		return nil, err
	}
	if _, err := l.awaitPod(ctx, "hello", ""); err != nil {
		return nil, fmt.Errorf("%w\nthe builder said:\n%s", err, builder.said())
	}
	if err := l.deployByHand(ctx); err != nil {
		return nil, err
	}
	pushed, err := c.measure(ctx, delivery{
		app: "hello", prepare: func(version string) error { return c.commit(ctx, version) }, begin: c.publish,
	})
	if err != nil {
		return nil, fmt.Errorf("%w\nthe builder said:\n%s", err, builder.said())
	}
	builder.stop()
	saved, err := c.measureSaves(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{
		pushed.figure("chain_overhead", "`git push` to the delivered pod Ready in profile testing, built by `slipway build --watch`"),
		saved.figure("chain_overhead_dev", "save to the delivered pod Ready in profile testing, under `slipway dev`"),
	}, nil
}

// begin pushes what the chain needs.
func (c *chain) begin(ctx context.Context) error {
	config, err := kube.ConfigFor(filepath.Join(c.work, "kubeconfig"), "kind-"+environmentName)
	if err != nil {
		return err
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	dir := filepath.Join(c.work, "checker")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for file, content := range map[string]string{"go.mod": "module checker\n\ngo 1.26\n", "main.go": checkerSource} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	built, err := c.builder.Build(ctx, build.Request{Dir: dir, Name: "checker", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}})
	if err != nil {
		return err
	}
	image, err := c.push(ctx, "bench/checker", built.Image)
	if err != nil {
		return err
	}
	file, err := built.Image.ConfigFile()
	if err != nil {
		return err
	}
	repository, err := c.output(ctx, c.slipway, "git", "url", "apps/hello", "--in-cluster", "--name", environmentName)
	if err != nil {
		return err
	}
	published, err := c.output(ctx, c.slipway, "git", "url", "apps/hello", "--name", environmentName)
	if err != nil {
		return err
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "main"}, {"remote", "add", "origin", published}} {
		if _, err := c.output(ctx, "git", append([]string{"-C", c.source}, arguments...)...); err != nil {
			return err
		}
	}
	if _, err := c.run(ctx, "go", "build", "-C", dir, "-o", filepath.Join(c.work, "check"), "."); err != nil {
		return err
	}
	c.checker = []string{filepath.Join(c.work, "check")}
	return c.apply(ctx, fmt.Sprintf(chainObjects, image, file.Config.Entrypoint[0], repository))
}

// apply makes the objects of a list.
func (c *chain) apply(ctx context.Context, list string) error {
	var all unstructured.UnstructuredList
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		return err
	}
	for i := range all.Items {
		object := &all.Items[i]
		resource := object.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(object.GetKind()) + "s")
		if _, err := c.objects.Resource(resource).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// output runs a program and returns what it wrote.
func (b *bench) output(ctx context.Context, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.work, "kubeconfig"), "XDG_STATE_HOME="+filepath.Join(b.work, "state"))
	out, err := command.Output()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return "", fmt.Errorf("%s %v: %w\n%s", filepath.Base(program), arguments, err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// commit edits the app, and commits it.
func (c *chain) commit(ctx context.Context, version string) error {
	if err := c.edit(c.source, version); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"add", "-A"}, {"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", version},
	} {
		if _, err := c.output(ctx, "git", append([]string{"-C", c.source}, arguments...)...); err != nil {
			return err
		}
	}
	return nil
}

// publish pushes what was committed.
func (c *chain) publish(ctx context.Context) error {
	_, err := c.output(ctx, "git", "-C", c.source, "push", "-q", "origin", "main")
	return err
}

// delivery is a way in which a version gets into the chain: prepare is not measured, begin is.
type delivery struct {
	app     string // the workload
	prepare func(version string) error
	begin   func(context.Context) error
}

// overhead is what deliveries took, in seconds, and what is needed without any chain.
type overhead struct {
	whole, compile, test, image []float64
	times                       map[string][]float64 // until a stage gave out something new
}

// figure is what the chain adds.
func (o *overhead) figure(name, what string) figure {
	value := median(o.whole) - median(o.compile) - median(o.test) - median(o.image)
	var stages []string
	for _, stage := range slices.SortedFunc(maps.Keys(o.times), func(a, b string) int { return cmp.Compare(median(o.times[a]), median(o.times[b])) }) {
		stages = append(stages, fmt.Sprintf("%s %.2f s", stage, median(o.times[stage])))
	}
	return figure{name, value, "s", "<= 3 s", fmt.Sprintf(
		"%s (%.2f s), less the compiler (%.2f s), the test command's own time (%.2f s) and a bare set image to Ready (%.2f s); since the beginning: %s",
		what, median(o.whole), median(o.compile), median(o.test), median(o.image), strings.Join(stages, ", "))}
}

// measure takes pairs in turn: a delivery, and then by hand what it needs anyway.
func (c *chain) measure(ctx context.Context, way delivery) (*overhead, error) {
	o := &overhead{times: map[string][]float64{}}
	for i := range c.pairs {
		version := fmt.Sprintf("%d.%d.%d", 6, i, time.Now().Unix()%1000)
		took, err := c.deliver(ctx, way, version, o.times)
		if err != nil {
			return nil, err
		}
		o.whole = append(o.whole, took)
		if err := c.bare(ctx, version+"-hand", o); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%s %d: %.2f s; compiler %.2f s, test %.2f s, set image %.2f s\n", way.app, i+1, took, o.compile[i], o.test[i], o.image[i])
	}
	return o, nil
}

// deliver returns how long it takes until a pod of another image is Ready; times gets when each stage gave out something
// new.
func (c *chain) deliver(ctx context.Context, way delivery, version string, times map[string][]float64) (float64, error) {
	if err := way.prepare(version); err != nil {
		return 0, err
	}
	before, err := c.imageOf(ctx, way.app)
	if err != nil {
		return 0, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen, err := c.watchStages(watching, way.app)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := way.begin(ctx); err != nil {
		return 0, err
	}
	ready, err := c.awaitPod(ctx, way.app, before)
	if err != nil {
		return 0, err
	}
	stop()
	for stage, at := range seen() {
		times[stage] = append(times[stage], at.Sub(start).Seconds())
	}
	return ready.Sub(start).Seconds(), nil
}

// watchStages watches the workload; what it returns tells when each of its stages gave out something new.
func (c *chain) watchStages(ctx context.Context, app string) (func() map[string]time.Time, error) {
	client := c.objects.Resource(workloads).Namespace("default")
	now, err := client.Get(ctx, app, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	stream, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + app, ResourceVersion: now.GetResourceVersion()})
	if err != nil {
		return nil, err
	}
	before, at := outputsOf(now), map[string]time.Time{}
	var ended sync.WaitGroup
	ended.Go(func() {
		for event := range stream.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			for stage, outputs := range outputsOf(object) {
				if _, known := at[stage]; !known && outputs != before[stage] {
					at[stage] = time.Now()
				}
			}
		}
	})
	return func() map[string]time.Time {
		stream.Stop()
		ended.Wait()
		return at
	}, nil
}

// outputsOf tells the outputs of each stage apart from others.
func outputsOf(workload *unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	resources, _, _ := unstructured.NestedSlice(workload.Object, "status", "resources")
	for _, one := range resources {
		resource, _ := one.(map[string]any)
		outputs, _, _ := unstructured.NestedSlice(resource, "outputs")
		for _, output := range outputs {
			if fields, ok := output.(map[string]any); ok {
				found[fmt.Sprint(resource["name"])] += fmt.Sprint(fields["digest"])
			}
		}
	}
	return found
}

// bare does by hand what a commit needs without any chain.
func (c *chain) bare(ctx context.Context, version string, o *overhead) error {
	before, err := c.imageOf(ctx, "by-hand")
	if err != nil {
		return err
	}
	if err := c.edit(c.byHand, version); err != nil {
		return err
	}
	start := time.Now()
	built, err := c.build(ctx)
	if err != nil {
		return err
	}
	o.compile = append(o.compile, time.Since(start).Seconds())
	tested := exec.CommandContext(ctx, c.checker[0], c.checker[1:]...)
	tested.Dir = c.byHand
	start = time.Now()
	if err := tested.Run(); err != nil {
		return err
	}
	o.test = append(o.test, time.Since(start).Seconds())
	ref, err := c.push(ctx, "bench/by-hand", built)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "workload", "image": ref}}}}}})
	if err != nil {
		return err
	}
	start = time.Now()
	if _, err := c.client.AppsV1().Deployments("default").Patch(ctx, "by-hand", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	ready, err := c.awaitPod(ctx, "by-hand", before)
	o.image = append(o.image, ready.Sub(start).Seconds())
	return err
}
