package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
	"slipway.dev/slipway/registry"
)

// Where a supply chain can start.
const (
	startsAtImage  = "image" // what a chain says that says nothing
	startsAtSource = "source"
)

// readSource lists what of the app's folder is source: what is built, and what is pushed as an artifact.
func (a *app) readSource(ctx context.Context) (*tree.Tree, error) {
	rules, err := tree.NewRules(a.Dir, a.noSource()...)
	if err != nil {
		return nil, err
	}
	return tree.Read(ctx, rules)
}

// sourceSteps are the steps of a run whose chain starts at source: the tree is pushed as an artifact, and what the chain
// makes of it is followed. Where the chain asks for an image (a Build), that is built beside.
func (a *app) sourceSteps(ctx context.Context, r *record, loaded *loadedWorkload, o *observer) error {
	read, packed, err := a.pack(ctx, r)
	if err != nil {
		return err
	}
	a.stock.serve(r.report.Namespace, r.report.Workload)
	ahead, err := a.stock.add(ctx, r, packed)
	if err != nil {
		return err
	}
	defer ahead.hide()
	place := sourceRepository(a.around.registry, r.report.Namespace, r.report.Workload)
	reference, err := a.pushTo(ctx, r, place, packed)
	if err != nil {
		return err
	}
	defer a.attachSource(reference, read, time.Now())
	r.report.Source, r.report.Digest = reference.String(), reference.DigestStr()
	if err := o.sync(ctx); err != nil {
		return err
	}
	before, err := o.see()
	if err != nil {
		return err
	}
	a.noteSource(before.workload, place)
	goal, err := a.apply(ctx, r, loaded, reference)
	if err != nil {
		return err
	}
	a.noteDigest(reference.DigestStr())
	inner, free := unlessNotBuilt(ctx, ahead)
	defer free()
	return ahead.because(inner, a.arrive(inner, r, o, goal))
}

// sourceRepository is where the artifacts of a workload's source are; no app's image can be there.
func sourceRepository(registry, namespace, workload string) string {
	if namespace == "default" {
		return registry + "/sources/" + workload
	}
	return registry + "/sources/" + namespace + "/" + workload
}

// pack makes an artifact of what is source now.
func (a *app) pack(ctx context.Context, r *record) (*tree.Tree, v1.Image, error) {
	step := r.start(ctx, "source", "Source "+a.Dir)
	read, err := a.readSource(ctx)
	if err != nil {
		return nil, nil, step.fail(err)
	}
	if len(read.Files) == 0 {
		return nil, nil, step.fail(hint.With(fmt.Errorf("%s has no source: there is no file in it, or .gitignore and .slipwayignore leave none", a.Dir),
			"a line such as !name in .slipwayignore brings a file back"))
	}
	if len(read.Odd) > 0 {
		a.progress.Warn("Left out of the source, since they lead out of it or are no files: %s", strings.Join(read.Odd, ", "))
	}
	packed, err := artifact.Pack(func(w io.Writer) error { return read.WriteTar(ctx, w) })
	if err != nil {
		return nil, nil, step.fail(err)
	}
	step.done(fmt.Sprintf("%d files", len(read.Files)))
	return read, packed, nil
}

// noteSource remembers the artifact that the workload names before it is pointed at another: what still tells of that one
// is no news.
func (a *app) noteSource(w *v1alpha1.Workload, place string) {
	if w == nil || w.Spec.Source == nil || w.Spec.Source.Image == nil {
		return
	}
	if digest, ours := strings.CutPrefix(*w.Spec.Source.Image, place+"@"); ours {
		a.noteDigest(digest)
	}
}

func (a *app) noteDigest(digest string) {
	if a.sources == nil {
		a.sources = map[string]bool{}
	}
	a.sources[digest] = true
}

// attachSource attaches to the artifact where it is from, beside the run.
func (a *app) attachSource(artifact name.Digest, read *tree.Tree, taken time.Time) {
	s, life := a.session, a.beside.life
	s.beside.jobs.Go(func() {
		err := s.attachTree(life, artifact, read, taken)
		if err != nil && life.Err() == nil {
			a.progress.Warn("The source is pushed, but where it is from could not be attached: %v", err)
		}
	})
}

func (s *session) attachTree(ctx context.Context, artifact name.Digest, read *tree.Tree, taken time.Time) error {
	revision, err := read.Revision(ctx)
	if err != nil && !errors.Is(err, tree.ErrNoRevision) {
		return err
	}
	key := attached{image: artifact.DigestStr(), revision: revision}
	if !s.beside.first(key) {
		return nil
	}
	source := registry.Source{Location: revision.Origin, Dirty: revision.Dirty, Tree: artifact.DigestStr(), Time: taken}
	if revision.Commit != "" {
		source.Revision = revision.String()
	}
	if source.Location == "" {
		source.Location = read.Root()
	}
	if _, err = s.pusher.AttachSource(ctx, artifact, source); err != nil {
		s.beside.again(key)
	}
	return err
}

// point makes a workload's spec name the target.
func (t target) point(spec map[string]any) {
	if !t.source {
		spec["image"] = t.image
		return
	}
	delete(spec, "image")
	source, _ := spec["source"].(map[string]any)
	if source == nil {
		source = map[string]any{}
		spec["source"] = source
	}
	delete(source, "git") // the folder stands for the repository
	source["image"] = t.image
}

// kind says what the target's image is, in a word.
func (t target) kind() string {
	if t.source {
		return "source"
	}
	return "image"
}

// named is what a workload names where the target belongs; "" for nothing.
func (t target) named(w *v1alpha1.Workload) string {
	named := w.Spec.Image
	if t.source {
		named = nil
		if w.Spec.Source != nil {
			named = w.Spec.Source.Image
		}
	}
	if named == nil {
		return ""
	}
	return *named
}

// tellsOfBefore says whether an output speaks of an earlier artifact of the workload's source. What speaks of none, or of
// something that the chain made, is for the stage's own condition to judge.
func (t target) tellsOfBefore(output v1alpha1.Output) bool {
	if strings.Contains(output.Preview, t.digest()) {
		return false
	}
	if strings.Contains(output.Preview, t.repository()+"@") {
		return true
	}
	for digest := range t.before {
		if strings.Contains(output.Preview, digest) {
			return true
		}
	}
	return false
}
