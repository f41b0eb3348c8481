package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/fastlane"
	"slipway.dev/slipway/internal/hint"
)

// syncParam is the workload's param by which a template knows that the supervisor is wanted, and what it must know.
const syncParam = "sync"

// restTime is how long saves must rest after a sync before the chain follows: each of its runs makes a new pod, and
// somebody who saves every few seconds would see the pods change under his hands. See ADR 6.
const restTime = 2 * time.Second

// openLane opens the fast lane, or closes it, as slipway.yaml says now.
func (a *app) openLane(ctx context.Context, namespace, workload string) error {
	if a.Once {
		return nil // there is no next save
	}
	file, err := appfile.Load(a.Dir)
	if err != nil {
		return err
	}
	rules := file.Sync
	if len(rules) == 0 && a.Sync {
		rules = []appfile.Sync{{Binary: true}}
	}
	if a.fromSource && len(rules) > 0 {
		// What the supervisor must run stands in the image, which such a chain makes only later.
		if !a.noLane {
			a.noLane = true
			a.progress.Warn("nothing is synced, and each save goes the whole way: the supply chain starts at source, and the fast lane is for those that start at an image")
		}
		rules = nil
	}
	if a.lane != nil && a.lane.Serves(namespace, workload, rules) {
		a.lane.Reload(file)
		return nil
	}
	a.closeLane()
	if len(rules) == 0 {
		return nil
	}
	token, err := a.syncToken(ctx, namespace, workload)
	if err != nil {
		return err
	}
	inDir := ""
	if !a.fileElsewhere() {
		if inDir, err = filepath.Rel(absolute(a.Dir), absolute(a.file)); err != nil {
			inDir = ""
		}
	}
	a.lane, err = fastlane.New(a.life, fastlane.Options{
		Dir: a.Dir, WorkloadFile: filepath.ToSlash(inDir), Namespace: namespace, Workload: workload, Token: token,
		Client: a.typed, Dial: dialStream(a.cluster),
		Ended: func(crash *fastlane.CrashError) { a.progress.Warn("%v", crash) },
	}, file, rules)
	return err
}

func (a *app) closeLane() {
	if a.lane != nil {
		a.lane.Close()
		a.lane = nil
	}
}

// syncToken is the one that the workload's pods know already, so that they can stay, or a new one.
func (a *app) syncToken(ctx context.Context, namespace, workload string) (string, error) {
	found, err := a.objects.Resource(workloadResource).Namespace(namespace).Get(ctx, workload, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("reading workload %s/%s: %w", namespace, workload, err)
	}
	if err == nil {
		params, _, _ := unstructured.NestedSlice(found.Object, "spec", "params")
		for _, param := range params {
			if one, ok := param.(map[string]any); ok && one["name"] == syncParam {
				if token, ok, _ := unstructured.NestedString(one, "value", "token"); ok && token != "" {
					return token, nil
				}
			}
		}
	}
	return rand.Text(), nil
}

// askForSupervisor puts the param into a workload that is about to be applied.
func (a *app) askForSupervisor(spec map[string]any) error {
	if a.lane == nil {
		return nil
	}
	if a.kept.Program == nil && a.lane.ProgramOnly() {
		return hint.With(errors.New("nothing can be synced: this app's builder makes no program of which it tells"),
			"say in slipway.yaml, under `sync`, which files go where, or go without --sync")
	}
	params, _ := spec["params"].([]any)
	for _, param := range params {
		if one, ok := param.(map[string]any); ok && one["name"] == syncParam {
			return fmt.Errorf("the workload has a param %s of its own, which is what the fast lane uses", syncParam)
		}
	}
	value, err := a.lane.Param(a.kept)
	if err != nil {
		return err
	}
	spec["params"] = append(slices.Clone(params), map[string]any{"name": syncParam, "value": value})
	return nil
}

// fast tries the fast lane for a batch of changes. over says that the run has ended with it; else the whole chain is to
// follow, at once or after saves have rested.
func (a *app) fast(ctx context.Context, number int, cause trigger) (report Report, over bool, err error) {
	a.refresh()
	if a.lane == nil || a.unserved || len(cause.files) == 0 || cause.fresh || cause.again {
		return Report{}, false, nil
	}
	r := newRecord(a.view, number, cause.files)
	r.report.Namespace, r.report.Workload = a.lane.Namespace, a.lane.Workload
	step := r.start(ctx, "sync", "Sync to the pods of "+a.lane.Workload)
	var buildErr error
	synced, err := a.lane.Try(ctx, cause.files, func(ctx context.Context) (*build.Result, error) {
		if _, buildErr = a.build(ctx, r); buildErr != nil {
			return nil, buildErr
		}
		return a.kept, nil
	})
	unserved, crash := (*fastlane.Unserved)(nil), (*fastlane.CrashError)(nil)
	switch {
	case ctx.Err() != nil:
		return r.finish(context.Cause(ctx)), true, step.fail(context.Cause(ctx))
	case errors.As(err, &unserved):
		step.skip("not this time: " + unserved.Why)
		return Report{}, false, nil
	case buildErr != nil:
		step.skip("not reached")
		return r.finish(buildErr), true, buildErr
	case errors.As(err, &crash):
		_ = step.fail(err)
		a.progress.Warn("%v", crash)
		return Report{}, false, nil // the chain has the last word: it may be the fast lane that is to blame
	case err != nil:
		step.skip("not this time: " + err.Error())
		return Report{}, false, nil
	}
	step.done(synced.What + " in pod " + strings.Join(synced.Pods, ", "))
	if synced.Silent != "" {
		a.progress.Warn("the new process runs, but %s", synced.Silent)
	}
	a.view.RunEnded(string(Passed), "")
	select {
	case <-time.After(restTime):
	case <-ctx.Done():
		return r.finish(nil), true, context.Cause(ctx)
	}
	a.view.Run(number, cause.files, "the chain follows")
	return Report{}, false, nil
}

// checkSupervised finds out, of what a run has arrived at, whether the chain's templates know the fast lane. Those that
// do not have no use for any save: that is said once, and not at each.
func (a *app) checkSupervised(st state) {
	var annotations map[string]string
	switch {
	case a.lane == nil:
		return
	case st.rolled != nil:
		annotations = st.rolled.Spec.Template.Annotations
	case st.pod != nil:
		annotations = st.pod.Annotations
	default:
		return
	}
	before := a.unserved
	a.unserved = !fastlane.Supervised(annotations)
	if a.unserved && !before {
		a.progress.Warn("nothing is synced, and each save goes the whole way: the templates of the supply chain do not know the param %s, so no supervisor is in the pods", syncParam)
	}
}

// compareSynced tells whether the chain has arrived at what the pods were given before.
func (a *app) compareSynced(ctx context.Context, st state, t target) {
	if a.lane == nil || st.pod == nil || a.kept == nil {
		return
	}
	image, err := a.arrivedImage(ctx, st.pod, t)
	var differences []string
	if err == nil {
		differences, err = a.lane.Arrived(ctx, image)
	}
	if err != nil && ctx.Err() == nil {
		a.progress.Warn("comparing the chain's image with what was synced: %v", err)
	}
	if len(differences) > 0 {
		a.progress.Warn("NOT THE SAME: what was synced is not what the chain has built, which is what runs now:\n  %s", strings.Join(differences, "\n  "))
	}
}

// arrivedImage is the image that a pod runs: what was built here, unless the chain has made another of it.
func (a *app) arrivedImage(ctx context.Context, pod *corev1.Pod, t target) (v1.Image, error) {
	reference := pod.Spec.Containers[0].Image
	if strings.HasSuffix(reference, "@"+t.digest()) {
		return a.kept.Image, nil
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	return remote.Image(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
}
