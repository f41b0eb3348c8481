package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

//go:embed scale.yaml
var scaleManifests string

const (
	manyWorkloads = 1000
	fewWorkloads  = 300
	// stampedEach is how many objects the chain stamps for a workload.
	stampedEach = 3
	// scaleLimit ends a run that hangs.
	scaleLimit = 10 * time.Minute
	// Events are written in the background, when there is time for them; settleTime is more than they take.
	settleTime = 40 * time.Second
	idleTime   = time.Minute
)

// measureScale has workloads wait for a supply chain, and then a chain appear, without a node or any other controller:
// what is measured is the choreographer beside an API server on the same cores.
func measureScale(ctx context.Context, b *bench) ([]figure, error) {
	few, err := b.scale(ctx, fewWorkloads)
	if err != nil {
		return nil, err
	}
	many, err := b.scale(ctx, manyWorkloads)
	if err != nil {
		return nil, err
	}
	n := float64(manyWorkloads)
	return []figure{
		{"realize_rate", n / many.realized.Seconds(), "workloads/s", ">= 120", fmt.Sprintf("%d workloads from the creation of their chain of %d resources until a watch has seen all Ready (%.1f s), when all objects are there; CPU of a workload in ms: %s", manyWorkloads, stampedEach, many.realized.Seconds(), many.used.each(manyWorkloads))},
		{"realize_edit", n / many.edited.Seconds(), "workloads/s", "", fmt.Sprintf("the same from an edit of a template until a watch has seen all its objects rewritten (%.1f s)", many.edited.Seconds())},
		{"realize_requests", many.requests.others / n, "per workload", "< 12", fmt.Sprintf("API requests of the first realisation, without events (%.1f a workload by then, and more behind) and watches (%.0f in all)", many.requests.events/n, many.requests.watches)},
		{"controller_rss", few.peak, "MiB", "<= 90", fmt.Sprintf("peak resident memory of the controller with %d workloads, after realisation, edit and a quiet minute", fewWorkloads)},
		{"controller_rss_1000", many.peak, "MiB", "<= 150", fmt.Sprintf("the same with %d workloads", manyWorkloads)},
		{"controller_idle", many.idle * 100, "% of a core", "<= 1", fmt.Sprintf("CPU of the controller with %d workloads, in the minute that begins %.0f s after the edit has come through", manyWorkloads, settleTime.Seconds())},
	}, nil
}

// scaled is what one run gave.
type scaled struct {
	realized, edited time.Duration
	requests         requestCount
	used             cpuTimes // of the realisation
	peak             float64  // MiB
	idle             float64  // cores
}

func (b *bench) scale(ctx context.Context, size int) (scaled, error) {
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	server, err := b.startServer(ctx)
	if err != nil {
		return scaled{}, err
	}
	defer server.stop()
	objects, err := parse(scaleManifests)
	if err != nil {
		return scaled{}, err
	}
	chain := objects[len(objects)-1]
	for _, object := range objects[:len(objects)-1] {
		if err := server.client.Create(ctx, object); err != nil {
			return scaled{}, fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	if err := createWorkloads(ctx, server.client, size); err != nil {
		return scaled{}, err
	}
	controller, err := b.startController(ctx, server)
	if err != nil {
		return scaled{}, err
	}
	defer controller.stop()
	seen, err := observe(ctx, server, workloads)
	if err != nil {
		return scaled{}, err
	}
	if err := seen.await(ctx, "the workloads wait for a chain", func(s *sight) bool { return len(s.judged) == size }); err != nil {
		return scaled{}, err
	}
	return measureRun(ctx, server, controller, seen, chain, size)
}

func measureRun(ctx context.Context, server *server, controller *controllerProcess, seen *sight, chain *unstructured.Unstructured, size int) (scaled, error) {
	var result scaled
	before, err := server.requests(ctx)
	if err != nil {
		return result, err
	}
	used := controller.used()
	start := time.Now()
	if err := server.client.Create(ctx, chain); err != nil {
		return result, err
	}
	if err := seen.await(ctx, "all workloads are Ready", func(s *sight) bool { return len(s.ready) == size }); err != nil {
		return result, err
	}
	result.realized = time.Since(start)
	result.used = controller.used().since(used)
	after, err := server.requests(ctx)
	if err != nil {
		return result, err
	}
	result.requests = after.since(before)
	if err := server.countStamped(ctx, size*stampedEach); err != nil {
		return result, err
	}
	if result.edited, err = measureEdit(ctx, server, size); err != nil {
		return result, err
	}
	if result.idle, err = controller.idle(ctx); err != nil {
		return result, err
	}
	result.peak, err = controller.peak()
	fmt.Fprintf(os.Stderr, "%d workloads: realised in %.1f s, edited in %.1f s, requests %+v, CPU of a workload in ms: %s, peak %.0f MiB, idle %.2f%% of a core\n",
		size, result.realized.Seconds(), result.edited.Seconds(), result.requests, result.used.each(size), result.peak, result.idle*100)
	return result, err
}

// measureEdit edits a template and returns how long it takes until all of its objects are as it has them now.
func measureEdit(ctx context.Context, server *server, size int) (time.Duration, error) {
	seen, err := observe(ctx, server, configMaps)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := editTemplate(ctx, server.client); err != nil {
		return 0, err
	}
	err = seen.await(ctx, "all config maps are edited", func(s *sight) bool { return len(s.edited) == size })
	return time.Since(start), err
}

func parse(manifests string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func createWorkloads(ctx context.Context, to client.Client, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range count {
		group.Go(func() error {
			workload := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
			workload.SetAPIVersion("carto.run/v1alpha1")
			workload.SetKind("Workload")
			workload.SetNamespace("default")
			workload.SetName(fmt.Sprintf("scale-%04d", i))
			workload.SetLabels(map[string]string{"scale": "yes"})
			return to.Create(ctx, workload)
		})
	}
	return group.Wait()
}

// editTemplate changes what the template of the config maps renders.
func editTemplate(ctx context.Context, with client.Client) error {
	template := &unstructured.Unstructured{}
	template.SetAPIVersion("carto.run/v1alpha1")
	template.SetKind("ClusterConfigTemplate")
	if err := with.Get(ctx, client.ObjectKey{Name: "scale-config"}, template); err != nil {
		return err
	}
	if err := unstructured.SetNestedField(template.Object, editedValue, "spec", "template", "data", "edit"); err != nil {
		return errors.Join(errors.New("the template is not what it was"), err)
	}
	return with.Update(ctx, template)
}
