package fulfil_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/fulfil"
)

func TestFulfil(t *testing.T) {
	w := newWorld(t)
	stop := w.manage()
	first, second := program(t, `"one"`), program(t, `"two"`)

	// Nobody builds, and the condition says what to run.
	w.create(w.push(first, "main@sha1:1111"))
	w.eventually(metav1.ConditionUnknown, v1alpha1.ReasonNobodyBuilds, "main@sha1:1111 is needed (SOURCE), and nobody builds it. Run `slipway build --watch`")

	// What is open is built once, with the digest that the folder itself gives.
	outcomes, err := fulfil.Once(t.Context(), w.options("once"))
	if err != nil {
		t.Fatal(err)
	}
	b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "main@sha1:1111")
	w.expect(b, w.local(first), v1alpha1.CauseSource, 1)
	if len(outcomes) != 1 || outcomes[0].Image != b.Status.LatestImage || outcomes[0].Error != "" || outcomes[0].Revision != "main@sha1:1111" {
		t.Errorf("outcomes %+v", outcomes)
	}
	if again, err := fulfil.Once(t.Context(), w.options("once")); err != nil || len(again) != 0 || w.builds.Load() != 1 {
		t.Errorf("a second time: %v, %v, %d builds", again, err, w.builds.Load())
	}

	// A restart of the controller changes nothing, and the same files of another revision are not built.
	before := w.get().ResourceVersion
	stop()
	stop = w.manage()
	defer func() { stop() }()
	w.change(func(b *v1alpha1.Build) { b.Spec.Source.Revision = "main@sha1:2222" })
	b = w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "main@sha1:2222")
	if before == b.ResourceVersion || b.Status.Builds != 1 || w.builds.Load() != 1 {
		t.Errorf("after a restart: %+v, %d builds", b.Status, w.builds.Load())
	}

	// Two builders that watch build once.
	defer w.watch("one")()
	defer w.watch("two")()
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(second, "main@sha1:3333") })
	w.expect(w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "main@sha1:3333"), w.local(second), v1alpha1.CauseSource, 2)
	if got := w.builds.Load(); got != 2 {
		t.Errorf("two builders built %d times", got-1)
	}
}

func TestWhatDoesNotBuild(t *testing.T) {
	w := newWorld(t)
	stop := w.manage()
	defer func() { stop() }()
	defer w.watch("one")()
	first, second := program(t, `"one"`), program(t, `"two"`)
	w.create(w.push(second, "main@sha1:3333"))
	w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")

	// What does not build says so with the compiler's words, and is left alone until somebody asks.
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(program(t, "undefinedName"), "main@sha1:4444") })
	b := w.eventually(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "main.go:3:23: undefined: undefinedName")
	if !strings.HasPrefix(meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady).Message, "go build .:") || b.Status.LatestImage != w.host+"/apps/hello@"+w.local(second) {
		t.Errorf("status %+v", b.Status)
	}
	stop()
	stop = w.manage()
	w.change(func(b *v1alpha1.Build) { b.Labels["touched"] = "yes" })
	if got := w.builds.Load(); got != 2 {
		t.Errorf("what does not build was built %d times", got-1)
	}
	w.change(func(b *v1alpha1.Build) { b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"} })
	for w.builds.Load() < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "undefinedName")

	// Repaired; then asked for again; then with another configuration.
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(first, "main@sha1:5555") })
	w.expect(w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "5555"), w.local(first), "SOURCE,MANUAL", 2)
	w.change(func(b *v1alpha1.Build) { b.Annotations[v1alpha1.AnnotationRequestedAt] = "later" })
	for w.get().Status.Builds < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(first), v1alpha1.CauseManual, 3)
	w.change(func(b *v1alpha1.Build) {
		b.Spec.Env = []v1alpha1.BuildVariable{{Name: "GOFLAGS", Value: "-tags=other"}}
	})
	for w.get().Status.Builds < 4 {
		time.Sleep(20 * time.Millisecond)
	}
	if b := w.get(); b.Status.LatestReason != v1alpha1.CauseConfig {
		t.Errorf("status %+v", b.Status)
	}
	if got := w.builds.Load(); got != 6 {
		t.Errorf("%d builds", got)
	}
}

func TestOtherBuilders(t *testing.T) {
	w := newWorld(t)
	defer w.manage()()
	w.create(w.push(program(t, `"one"`), "main@sha1:1111"))
	b := w.eventually(metav1.ConditionUnknown, v1alpha1.ReasonRequested, "")

	// One that has claimed it and was killed is waited for no longer than its claim.
	w.status(func(s *v1alpha1.BuildStatus) {
		s.Claim = &v1alpha1.BuildClaim{Request: b.Status.Request.ID, By: "the dead", Until: metav1.NewTime(time.Now().Add(4 * time.Second))}
	})
	w.eventually(metav1.ConditionUnknown, v1alpha1.ReasonBuilding, "the dead builds it")
	if _, err := fulfil.Once(t.Context(), w.options("one")); err != nil {
		t.Fatal(err)
	}
	if b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, ""); b.Status.Builds != 1 || w.builds.Load() != 1 {
		t.Errorf("status %+v", b.Status)
	}

	// One that names what it did not push is not believed.
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(program(t, `"two"`), "main@sha1:2222") })
	for b = w.get(); b.Status.Request == nil; b = w.get() {
		time.Sleep(20 * time.Millisecond)
	}
	w.status(func(s *v1alpha1.BuildStatus) {
		s.Answer = &v1alpha1.BuildAnswer{Request: b.Status.Request.ID, By: "a liar", Image: w.host + "/apps/hello@sha256:" + strings.Repeat("1", 64)}
	})
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonNotPushed, "a liar says that it pushed")
	w.status(func(s *v1alpha1.BuildStatus) { s.Answer.Image = "example.com/other@sha256:" + strings.Repeat("1", 64) })
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonNotPushed, "is not an image of "+w.host+"/apps/hello")

	// A spec that cannot be.
	w.change(func(b *v1alpha1.Build) { b.Spec.Params = []v1alpha1.BuildVariable{{Name: "speed", Value: "fast"}} })
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, `no parameter "speed"`)
	w.change(func(b *v1alpha1.Build) { b.Spec.Params, b.Spec.Image = nil, w.host+"/apps/hello:tag" })
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, "without a tag")
}

// TestEnds has a builder end in the middle of its work: at once, and without its claim.
func TestEnds(t *testing.T) {
	w := newWorld(t)
	defer w.manage()()
	w.create(w.push(program(t, `"one"`), "main@sha1:1111"))
	options := w.options("one")
	building := make(chan struct{}, 1)
	options.NewBuilder = func() (build.Builder, error) { return endless(building), nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- fulfil.Watch(ctx, options) }()
	<-building
	w.eventually(metav1.ConditionUnknown, v1alpha1.ReasonBuilding, "one builds it")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.eventually(metav1.ConditionUnknown, v1alpha1.ReasonNobodyBuilds, "")
}

// endless is a builder that builds until it is ended.
type endless chan struct{}

func (e endless) Build(ctx context.Context, _ build.Request) (*build.Result, error) {
	e <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (endless) Close() error { return nil }
