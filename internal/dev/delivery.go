package dev

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"

	"slipway.dev/slipway/api/carto/v1alpha1"
	slipwayv1alpha1 "slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/tree"
)

var (
	deliverableResource = v1alpha1.GroupVersion.WithResource("deliverables")
	gitCommitResource   = slipwayv1alpha1.GroupVersion.WithResource("gitcommits")
	sourceResource      = slipwayv1alpha1.GroupVersion.WithResource("sources")
	releaseResource     = slipwayv1alpha1.GroupVersion.WithResource("releases")
)

// deliveryResources are what is watched of a delivery.
var deliveryResources = []schema.GroupVersionResource{deliverableResource, gitCommitResource, sourceResource, releaseResource}

// deliveries are the objects of a namespace by which chains deliver.
type deliveries struct {
	deliverables []*v1alpha1.Deliverable
	commits      []*committed
	sources      []*slipwayv1alpha1.Source
	releases     []*slipwayv1alpha1.Release
}

// committed is a GitCommit with the digest of the artifact that a Source makes of its folder.
type committed struct {
	*slipwayv1alpha1.GitCommit

	digest string
}

// delivery is how far what a chain has written has come. The deliverable has conditions of its own, but they may be of
// what was written before: nothing tells a deliverable that there is something new but the place itself, later. So the
// artifact that is delivered must be of the very files.
type delivery struct {
	stages  []stage
	behind  string   // why not all of what was written is delivered; "" when it is
	applied bool     // whether it is in the cluster, at least: then the pods speak of it
	problem *problem // nil when nothing is wrong that speaks of this run
}

// deliveryOf looks at what the workload's chain has delivered; nil where it makes no deliverable.
func deliveryOf(t target, s seen) *delivery {
	var found *delivery
	for _, resource := range s.workload.Status.Resources {
		if !makesDeliverable(resource) {
			continue
		}
		if found == nil {
			found = &delivery{}
		}
		deliverable := named(s.deliveries.deliverables, resource.StampedRef.Name)
		if deliverable == nil {
			found.behind = "deliverable " + resource.StampedRef.Name + " is not there yet"
			continue
		}
		found.follow(t, s, deliverable)
	}
	return found
}

func makesDeliverable(resource v1alpha1.ResourceStatus) bool {
	ref := resource.StampedRef
	return ref != nil && ref.Kind == v1alpha1.KindDeliverable && strings.HasPrefix(ref.APIVersion, v1alpha1.GroupVersion.Group+"/")
}

// deliver adds what is delivered to how far a run is, and returns the pods if they are of it.
func (st *state) deliver(d *delivery, pods rolled) rolled {
	held := slices.ContainsFunc(st.stages, func(one stage) bool { return !one.done && one.kind != v1alpha1.KindDeliverable })
	if held {
		// Nothing new is written yet, or not that it is.
		for i := range d.stages {
			d.stages[i].done, d.stages[i].held, d.stages[i].detail = false, true, "the stages before it are not done"
		}
		d.behind, d.applied, d.problem = "the stages before it are not done", false, nil
	}
	for i := range st.stages {
		if st.stages[i].kind == v1alpha1.KindDeliverable && d.behind != "" {
			st.stages[i].done, st.stages[i].held, st.stages[i].detail = false, held, d.behind
		}
	}
	st.stages = append(st.stages, d.stages...)
	if st.problem == nil {
		st.problem = d.problem
	}
	if !d.applied {
		return rolled{}
	}
	return pods
}

// follow adds the stages of a deliverable.
func (d *delivery) follow(t target, s seen, deliverable *v1alpha1.Deliverable) {
	for _, resource := range deliverable.Status.Resources {
		one := newStage(resource)
		one.name = "delivery/" + one.name
		ready, healthy := condition(resource.Conditions, v1alpha1.ConditionReady), condition(resource.Conditions, v1alpha1.ConditionHealthy)
		behind := d.lag(s, resource.StampedRef)
		switch {
		case ready.Status == metav1.ConditionFalse && behind == "", healthy.Status == metav1.ConditionFalse && isSource(resource.StampedRef):
			one.detail = because(ready)
			if healthy.Status == metav1.ConditionFalse {
				one.detail = because(healthy)
			}
			if d.problem == nil {
				d.problem = &problem{stage: one.name, message: one.detail, grace: longGrace}
			}
		case behind != "":
			one.detail = behind
		case ready.Status != metav1.ConditionTrue:
			one.detail = because(ready)
		default:
			one.done = true
		}
		if behind != "" && d.behind == "" {
			d.behind = one.detail
		}
		d.applied = d.applied || one.kind == "Release" && behind == ""
		d.stages = append(d.stages, one)
	}
	ready := condition(deliverable.Status.Conditions, v1alpha1.ConditionReady)
	if d.behind == "" && ready.Status != metav1.ConditionTrue {
		d.behind = "deliverable " + deliverable.Name + " is not ready: " + because(ready)
	}
	d.applied = d.applied || d.behind == ""
}

func isSource(ref *v1alpha1.StampedRef) bool {
	return ref != nil && ref.Kind == "Source" && strings.HasPrefix(ref.APIVersion, slipwayv1alpha1.GroupVersion.Group+"/")
}

// lag says why a stage of the delivery speaks of what was written before; "" when it does not, or that cannot be told.
func (d *delivery) lag(s seen, ref *v1alpha1.StampedRef) string {
	if ref == nil || !strings.HasPrefix(ref.APIVersion, slipwayv1alpha1.GroupVersion.Group+"/") {
		return ""
	}
	commits := commitsOf(s)
	switch ref.Kind {
	case "Source":
		source := named(s.deliveries.sources, ref.Name)
		if source == nil || source.Status.Artifact == nil {
			return "it has nothing yet"
		}
		for _, commit := range commits {
			if writesTo(commit, source) && !holds(source, commit) {
				return "it has not seen what was written"
			}
		}
	case "Release":
		release := named(s.deliveries.releases, ref.Name)
		if release == nil {
			return "it is not there yet"
		}
		for _, commit := range commits {
			source := sourceOf(s, commit)
			if source != nil && (!holds(source, commit) || release.Spec.Source.URL != source.Status.Artifact.URL) {
				return "it has what was written before"
			}
		}
		if release.Status.ObservedGeneration < release.Generation {
			return "it has not begun with what was written"
		}
	}
	return ""
}

// commitsOf are the GitCommits that the workload's chain has stamped.
func commitsOf(s seen) []*committed {
	var found []*committed
	for _, resource := range s.workload.Status.Resources {
		if ref := resource.StampedRef; ref != nil && ref.Kind == "GitCommit" {
			if commit := named(s.deliveries.commits, ref.Name); commit != nil {
				found = append(found, commit)
			}
		}
	}
	return found
}

// writesTo says whether a commit writes the very folder, or bundle, that a Source follows.
func writesTo(commit *committed, source *slipwayv1alpha1.Source) bool {
	status := commit.Status
	if git := source.Spec.Git; git != nil {
		return status.Branch != "" && status.URL == git.URL && status.Branch == git.Ref.Branch && status.Path == source.Spec.SubPath
	}
	name, _, _ := strings.Cut(status.URL, "@")
	return status.Branch == "" && name != "" && strings.HasPrefix(source.Spec.Image, name)
}

// sourceOf is the Source that follows what a commit writes; nil for none.
func sourceOf(s seen, commit *committed) *slipwayv1alpha1.Source {
	for _, source := range s.deliveries.sources {
		if writesTo(commit, source) && source.Status.Artifact != nil {
			return source
		}
	}
	return nil
}

// holds says whether a Source's artifact is of the files that a commit writes.
func holds(source *slipwayv1alpha1.Source, commit *committed) bool {
	if commit.Status.ObservedGeneration < commit.Generation {
		return false
	}
	if source.Spec.Git != nil {
		return commit.digest == "" || source.Status.Artifact.Digest == commit.digest
	}
	_, digest, _ := strings.Cut(commit.Status.URL, "@")
	return strings.Contains(source.Status.Artifact.Revision, digest)
}

// named finds an object; nil when it is not there.
func named[T interface {
	comparable
	metav1.Object
}](objects []T, name string) T {
	for _, object := range objects {
		if object.GetName() == name {
			return object
		}
	}
	var none T
	return none
}

// artifactOf is the digest of the archive that a Source makes of a folder with these files.
func artifactOf(ctx context.Context, files map[string]string) (string, error) {
	dir, err := os.MkdirTemp("", "slipway-files-")
	if err != nil {
		return "", fmt.Errorf("making a folder for what a chain has written: %w", err)
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir) // the names are the cluster's
	if err != nil {
		return "", err
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return "", err
		}
		if err := root.WriteFile(name, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	rules, err := tree.NewRules(dir)
	if err != nil {
		return "", err
	}
	read, err := tree.Read(ctx, rules)
	if err != nil {
		return "", err
	}
	packed, err := artifact.Pack(func(w io.Writer) error { return read.WriteTar(ctx, w) })
	if err != nil {
		return "", err
	}
	layers, err := packed.Layers()
	if err != nil {
		return "", err
	}
	digest, err := layers[0].Digest()
	return digest.String(), err
}

// delivered is what is known of the namespace's deliveries.
func (o *observer) delivered(watched dynamicinformer.DynamicSharedInformerFactory) (deliveries, error) {
	var d deliveries
	var commits []*slipwayv1alpha1.GitCommit
	for _, err := range []error{
		list(watched, deliverableResource, &d.deliverables), list(watched, gitCommitResource, &commits),
		list(watched, sourceResource, &d.sources), list(watched, releaseResource, &d.releases),
	} {
		if err != nil {
			return d, err
		}
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, commit := range commits {
		d.commits = append(d.commits, &committed{GitCommit: commit, digest: o.digests[contentOf(commit)]})
	}
	return d, nil
}

// contentOf names what a GitCommit is to write.
func contentOf(commit *slipwayv1alpha1.GitCommit) string {
	return fmt.Sprintf("%s %d", commit.UID, commit.Generation)
}

// digest finds out what the artifacts must be that are made of what the workload's GitCommits write, once for each.
func (o *observer) digest(ctx context.Context, s seen) error {
	if s.workload == nil {
		return nil
	}
	for _, commit := range commitsOf(s) {
		if commit.digest != "" {
			continue
		}
		digest, err := artifactOf(ctx, commit.Spec.Files)
		if err != nil {
			return fmt.Errorf("reading what the chain has written: %w", err)
		}
		commit.digest = digest
		o.mutex.Lock()
		clear(o.digests) // what was written before is not asked for again
		o.digests[contentOf(commit.GitCommit)] = digest
		o.mutex.Unlock()
	}
	return nil
}

// list reads all of a kind that is watched.
func list[T any](watched dynamicinformer.DynamicSharedInformerFactory, resource schema.GroupVersionResource, into *[]*T) error {
	found, err := watched.ForResource(resource).Lister().List(labels.Everything())
	if err != nil {
		return err
	}
	for _, one := range found {
		object, ok := one.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("reading %s: one came as %T", resource.Resource, one)
		}
		read := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, read); err != nil {
			return fmt.Errorf("reading %s %s: %w", resource.Resource, object.GetName(), err)
		}
		*into = append(*into, read)
	}
	return nil
}
