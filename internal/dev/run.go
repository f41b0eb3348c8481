package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/registry"
)

// fieldManager owns what dev applies.
const fieldManager = "slipway-dev"

// answerLimit is how long the API server may take for one answer before it is asked again.
const answerLimit = 10 * time.Second

// run does all the steps once. The report tells of those that were reached, also when it fails.
func (a *app) run(ctx context.Context, number int, files []string) (Report, error) {
	ctx, free := withLimit(ctx, a.Timeout, func(slept time.Duration) {
		a.progress.Say("This machine slept for %s, which the time limit does not count", slept.Round(time.Second))
	})
	defer free()
	a.refresh()
	r := newRecord(a.view, number, files)
	err := a.steps(ctx, r)
	if err == nil {
		a.collect(a.progress)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return r.finish(err), err
}

func (a *app) steps(ctx context.Context, r *record) error {
	loaded, err := readWorkload(a.file, a.Namespace, a.DefaultNamespace)
	if err != nil {
		return err
	}
	r.report.Namespace, r.report.Workload = loaded.object.GetNamespace(), loaded.object.GetName()
	if err := a.checkChain(ctx, loaded); err != nil {
		return err
	}
	if !a.fromSource {
		a.stock.close() // the chain started at source before
	}
	observer := a.observe(r.report.Namespace, r.report.Workload) // catches up while the program is being built
	if err := a.openLane(ctx, r.report.Namespace, r.report.Workload); err != nil {
		return err
	}

	if a.fromSource {
		return a.sourceSteps(ctx, r, loaded, observer)
	}
	image, err := a.build(ctx, r)
	if err != nil {
		return err
	}
	reference, err := a.push(ctx, r, image)
	if err != nil {
		return err
	}
	a.prefetch(reference)
	defer a.attach(reference, a.kept)
	r.report.Image, r.report.Digest = reference.String(), reference.DigestStr()
	goal, err := a.apply(ctx, r, loaded, reference)
	if err != nil {
		return err
	}
	return a.arrive(ctx, r, observer, goal)
}

// build makes the image, or keeps the one that was made from the same files.
func (a *app) build(ctx context.Context, r *record) (v1.Image, error) {
	step := r.start(ctx, "build", "Build "+a.Dir)
	if a.kept != nil {
		step.done("kept: no file has changed")
		return a.kept.Image, nil
	}
	if a.early.take() {
		defer func() { <-a.builds }()
	} else {
		release, err := a.buildTurn(ctx, step.update)
		if err != nil {
			return nil, step.fail(err)
		}
		defer release()
	}
	source, err := a.readSource(ctx)
	if err != nil {
		return nil, step.fail(err)
	}
	a.size = len(source.Files)
	request := a.request(r.report.Workload, source)
	request.Fresh, request.Update = a.fresh, func(what string) { step.update(what) }
	built, err := a.Builder.Build(ctx, request)
	if err != nil {
		return nil, step.fail(err)
	}
	digest, err := built.Image.Digest()
	if err != nil {
		return nil, step.fail(err)
	}
	a.kept = built
	step.done(digest.String()[:len("sha256:")+12])
	return built.Image, nil
}

// buildTurn waits until fewer builds are under way than may be.
func (a *app) buildTurn(ctx context.Context, say func(string)) (release func(), err error) {
	select {
	case a.builds <- struct{}{}:
	default:
		say("waiting for the other builds")
		select {
		case a.builds <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return func() { <-a.builds }, nil
}

// repository is where a workload's images are.
func repository(registry, namespace, workload string) string {
	if namespace == "default" {
		return registry + "/apps/" + workload
	}
	return registry + "/apps/" + namespace + "/" + workload
}

// pushGrace is how much longer a push may go on whose run was superseded: what is half sent is lost, and most of it is
// wanted again. Over loopback nearly every push is over by then.
const pushGrace = time.Second

// outlive returns a context that goes on for a while when ctx ends since something newer was saved, and ends with it
// otherwise.
func outlive(ctx context.Context, grace time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-longer.Done():
			return
		}
		if errors.Is(context.Cause(ctx), errSuperseded) {
			select {
			case <-time.After(grace):
			case <-longer.Done():
			}
		}
		cancel(context.Cause(ctx))
	}()
	return longer, func() {
		cancel(context.Canceled)
		<-ended
	}
}

func (a *app) push(ctx context.Context, r *record, image v1.Image) (name.Digest, error) {
	return a.pushTo(ctx, r, repository(a.around.registry, r.report.Namespace, r.report.Workload), image)
}

func (a *app) pushTo(ctx context.Context, r *record, place string, image v1.Image) (name.Digest, error) {
	step := r.start(ctx, "push", "Push to "+place)
	tag, err := name.NewTag(place + ":latest")
	if err != nil {
		return name.Digest{}, step.fail(err)
	}
	var pushed *registry.Pushed
	err = persist(ctx, step, "the registry", func() (err error) {
		longer, free := outlive(ctx, pushGrace)
		defer free()
		pushed, err = a.pusher.Push(longer, image, tag, func(p registry.Progress) {
			step.update(fmt.Sprintf("%.0f of %.0f MB", float64(p.Sent)/1e6, float64(p.Total)/1e6))
		})
		return err
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return name.Digest{}, step.fail(err)
	}
	detail := "cached: all of it was there"
	if pushed.Bytes > 0 {
		detail = fmt.Sprintf("%.1f MB", float64(pushed.Bytes)/1e6)
	}
	step.done(detail)
	return pushed.Reference, nil
}

// appliedTo is what a run made of a workload.
type appliedTo struct {
	namespace, name string
	uid             types.UID
}

// apply points the workload at the image or the source artifact, and makes it what its file says.
func (a *app) apply(ctx context.Context, r *record, loaded *loadedWorkload, image name.Digest) (target, error) {
	t := target{namespace: r.report.Namespace, name: r.report.Workload, image: image.String(), source: a.fromSource, before: a.sources}
	step := r.start(ctx, "apply", "Workload "+t.namespace+"/"+t.name)
	object := loaded.object.DeepCopy()
	spec, ok := object.Object["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		object.Object["spec"] = spec
	}
	t.point(spec)
	if err := a.askForSupervisor(spec); err != nil {
		return t, step.fail(err)
	}
	content, err := json.Marshal(object)
	if err != nil {
		return t, step.fail(err)
	}
	var applied *unstructured.Unstructured
	force := true
	err = persist(ctx, step, "the cluster", func() (err error) {
		ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errNoAnswer)
		defer cancel()
		applied, err = a.objects.Resource(workloadResource).Namespace(t.namespace).Patch(ctx, t.name, types.ApplyPatchType, content,
			metav1.PatchOptions{FieldManager: fieldManager, Force: &force})
		if a.reach.starting(err) {
			err = fmt.Errorf("%w: %w", errStarting, err)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("applying workload %s/%s: %w", t.namespace, t.name, err)
		if apierrors.IsNotFound(err) {
			err = hint.Withf(err, "make the namespace with `kubectl create namespace %s`, if that is what is missing", t.namespace)
		}
		return t, step.fail(err)
	}
	t.generation, t.uid = applied.GetGeneration(), applied.GetUID()
	detail := ""
	now, before := appliedTo{t.namespace, t.name, t.uid}, a.applied
	if a.applied = now; before.name == now.name && before.namespace == now.namespace && before.uid != now.uid {
		detail = "it had been deleted, and is made again"
		a.progress.Say("Workload %s/%s had been deleted, and is made again", t.namespace, t.name)
	}
	step.done(detail)
	return t, nil
}

// arrive follows the chain, with a step for each of its stages and one for the pod.
func (a *app) arrive(ctx context.Context, r *record, o *observer, t target) error {
	began := time.Now()
	stages := map[string]*step{}
	var pod *step
	st, err := a.chase(ctx, o, t, func(st state) {
		for _, stage := range st.stages {
			one := stages[stage.name]
			if one == nil && !stage.done && (!stage.stamped || stage.held) {
				continue // its object, which names it on the screen, is not known yet, or it has nothing to do yet
			}
			if one == nil {
				one = r.startAt(ctx, began, stage.name, stage.title)
				stages[stage.name] = one
			}
			if stage.done {
				one.done("")
			} else {
				one.update(stage.detail)
			}
		}
		if pod == nil && st.rolled != nil {
			pod = r.startAt(ctx, began, "pod", "Pod of "+st.rolled.Name)
		}
		if pod != nil {
			pod.update(st.waiting)
		}
	})
	if err != nil {
		a.halted = halt(t, err, a.selfBegun)
		r.failWhere(ctx, err)
		return err
	}
	if pod != nil && st.pod != nil {
		pod.done(st.pod.Name)
	}
	a.checkSupervised(st)
	a.compareSynced(ctx, st, t)
	a.showURL(ctx, r, t)
	r.report.pod = destinationOf(st, a.Ports)
	a.arrived = t
	return nil
}
