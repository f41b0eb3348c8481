package fulfil_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/fulfil"
	stage "slipway.dev/slipway/internal/stages/build"
	"slipway.dev/slipway/internal/tree"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/events"
	"slipway.dev/slipway/registry/server"
)

// artifacts is the host that the URLs of artifacts have in the cluster.
const artifacts = "registry.in.cluster:5000"

var platform = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// world is an API server with the stage, and a registry.
type world struct {
	client.Client
	*testing.T
	config *rest.Config
	scheme *kruntime.Scheme
	host   string // of the registry
	builds atomic.Int32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: scripts/test-api.sh runs this")
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "embedded", "crds")}, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{T: t, config: config, scheme: kruntime.NewScheme()}
	for _, add := range []func(*kruntime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(w.scheme); err != nil {
			t.Fatal(err)
		}
	}
	if w.Client, err = client.New(config, client.Options{Scheme: w.scheme}); err != nil {
		t.Fatal(err)
	}
	images, err := server.New(t.Context(), server.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(images)
	t.Cleanup(func() {
		_ = images.Close()
		web.Close()
	})
	w.host = strings.TrimPrefix(web.URL, "http://")
	return w
}

type noSecrets struct{}

func (noSecrets) Secret(context.Context, types.NamespacedName, string) (*corev1.Secret, error) {
	return nil, fmt.Errorf("no secret is read here")
}

// manage runs the stage.
func (w *world) manage() (stop func()) {
	w.Helper()
	skip := true
	mgr, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme: w.scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &skip},
	})
	if err != nil {
		w.Fatal(err)
	}
	if err := stage.Setup(mgr, stage.Options{Aliases: map[string]string{w.host: w.host}, Secrets: noSecrets{}}); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
}

// options are those of a builder of that name.
func (w *world) options(by string) fulfil.Options {
	objects, err := dynamic.NewForConfig(w.config)
	if err != nil {
		w.Fatal(err)
	}
	return fulfil.Options{
		Cluster: objects, Registry: w.host, Hosts: map[string]string{artifacts: w.host}, Platform: platform, By: by,
		NewBuilder: func() (build.Builder, error) { return &counting{choose.New(choose.Options{}), &w.builds}, nil },
		Pusher:     registry.NewPusher(nil), Progress: &ui.Recorder{},
	}
}

// watch runs a builder that looks for newer bases, too.
func (w *world) watch(by string, edits ...func(*fulfil.Options)) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	options := w.options(by)
	options.Events = "http://" + w.host + events.Path
	for _, edit := range edits {
		edit(&options)
	}
	go func() { ended <- fulfil.Watch(ctx, options) }()
	return func() {
		cancel()
		<-ended
	}
}

// counting counts builds.
type counting struct {
	*choose.Builder
	builds *atomic.Int32
}

func (c *counting) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	c.builds.Add(1)
	return c.Builder.Build(ctx, r)
}

// program is a Go program that says a word.
func program(t *testing.T, word string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/hello\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { println(" + word + ") }\n",
		".gitignore": "notes.txt\n", "notes.txt": "not source",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// push pushes a folder as `dev` does, and returns where the cluster finds it.
func (w *world) push(dir, revision string) v1alpha1.BuildSource {
	w.Helper()
	rules, err := tree.NewRules(dir)
	if err != nil {
		w.Fatal(err)
	}
	read, err := tree.Read(w.Context(), rules)
	if err != nil {
		w.Fatal(err)
	}
	packed, err := artifact.Pack(func(out io.Writer) error { return read.WriteTar(w.Context(), out) })
	if err != nil {
		w.Fatal(err)
	}
	place, err := name.NewTag(w.host + "/sources/hello:latest")
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(place, packed, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
	}
	layers, err := packed.Layers()
	if err != nil {
		w.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		w.Fatal(err)
	}
	return v1alpha1.BuildSource{URL: fmt.Sprintf("http://%s/v2/sources/hello/blobs/%s", artifacts, digest), Revision: revision}
}

// local is the digest of what `dev` builds in a folder.
func (w *world) local(dir string) string {
	w.Helper()
	builder := choose.New(choose.Options{})
	defer builder.Close()
	built, err := builder.Build(w.Context(), build.Request{Dir: dir, Name: "hello", Platform: platform, Registry: w.host})
	if err != nil {
		w.Fatal(err)
	}
	digest, err := built.Image.Digest()
	if err != nil {
		w.Fatal(err)
	}
	return digest.String()
}

func (w *world) create(source v1alpha1.BuildSource) {
	w.Helper()
	b := &v1alpha1.Build{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "image", Labels: map[string]string{"carto.run/workload-name": "hello"}}}
	b.Spec = v1alpha1.BuildSpec{Source: source, Image: w.host + "/apps/hello"}
	if err := w.Create(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

func (w *world) get() *v1alpha1.Build {
	w.Helper()
	b := &v1alpha1.Build{}
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "default", Name: "image"}, b); err != nil {
		w.Fatal(err)
	}
	return b
}

// change edits the Build.
func (w *world) change(edit func(*v1alpha1.Build)) {
	w.Helper()
	b := w.get()
	before := b.DeepCopy()
	edit(b)
	if err := w.Patch(w.Context(), b, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// eventually waits for a condition of what the Build says now.
func (w *world) eventually(status metav1.ConditionStatus, reason, message string) *v1alpha1.Build {
	w.Helper()
	var condition *metav1.Condition
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b := w.get()
		condition = meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
		if condition != nil && b.Status.ObservedGeneration == b.Generation && condition.Status == status && condition.Reason == reason && strings.Contains(condition.Message, message) {
			return b
		}
	}
	w.Fatalf("the build is not %s %s %q: %+v", status, reason, message, condition)
	return nil
}

func (w *world) expect(b *v1alpha1.Build, digest, cause string, builds int64) {
	w.Helper()
	want := w.host + "/apps/hello@" + digest
	if b.Status.LatestImage != want || b.Status.LatestReason != cause || b.Status.Builds != builds || b.Status.Request != nil || b.Status.Answer != nil || b.Status.Claim != nil {
		w.Errorf("status %+v, want image %s, cause %s, %d builds", b.Status, want, cause, builds)
	}
	reference, err := name.NewDigest(b.Status.LatestImage)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := remote.Head(reference); err != nil {
		w.Error(err)
	}
}

func TestMain(m *testing.M) {
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// base pushes a base image that has a word in its environment and in a file.
func (w *world) base(word string) {
	w.Helper()
	files, err := layer.Compressed([]layer.File{{Name: "etc/word", Mode: 0o644, Content: []byte(word)}})
	if err != nil {
		w.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, files)
	if err != nil {
		w.Fatal(err)
	}
	if image, err = mutate.Config(image, v1.Config{Env: []string{"WORD=" + word}}); err != nil {
		w.Fatal(err)
	}
	tag, err := name.NewTag(w.host + "/bases/small:latest")
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
	}
}

func TestRebase(t *testing.T) {
	w := newWorld(t)
	defer w.manage()()
	stop := w.watch("one")
	w.base("first")
	dir := program(t, `"one"`)
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte("apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: "+w.host+"/bases/small}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.create(w.push(dir, "main@sha1:1111"))
	b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
	w.expect(b, w.local(dir), v1alpha1.CauseSource, 1)
	if b.Status.Base == nil || b.Status.Base.Name != w.host+"/bases/small" {
		t.Fatalf("status %+v", b.Status)
	}
	w.told(b.Status.LatestImage)

	// A newer base: the same digest as that of another build, and no build.
	w.base("second")
	for w.get().Status.Builds < 2 {
		time.Sleep(20 * time.Millisecond)
	}
	b = w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
	w.expect(b, w.local(dir), v1alpha1.CauseBaseImage, 2)
	if got := w.builds.Load(); got != 1 || b.Status.Base.Newest != "" {
		t.Errorf("%d builds, base %+v", got, b.Status.Base)
	}
	w.told(b.Status.LatestImage)

	// What stands on no other base is left alone when that is pushed again.
	w.base("second")
	w.change(func(b *v1alpha1.Build) { b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"} })
	for w.get().Status.Builds < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(dir), v1alpha1.CauseManual, 3)

	// One that builds nothing can rebase, too.
	stop()
	defer w.watch("two", func(o *fulfil.Options) { o.NewBuilder = nil })()
	w.base("third")
	for w.get().Status.Builds < 4 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(dir), v1alpha1.CauseBaseImage, 4)
}

// told waits for what tells of an image: its source, its base, and of what it is made, under its own digest.
func (w *world) told(image string) {
	w.Helper()
	digest, err := name.NewDigest(image)
	if err != nil {
		w.Fatal(err)
	}
	var kinds []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		index, err := remote.Referrers(digest)
		if err != nil {
			w.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			w.Fatal(err)
		}
		kinds = nil
		for _, one := range manifest.Manifests {
			kinds = append(kinds, one.ArtifactType)
		}
		slices.Sort(kinds)
		if slices.Equal(kinds, []string{registry.SPDXType, baseimage.RecordType, registry.SourceType}) {
			return
		}
	}
	w.Errorf("attached to %s: %v", image, kinds)
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

// status edits the status, as builders do.
func (w *world) status(edit func(*v1alpha1.BuildStatus)) {
	w.Helper()
	b := w.get()
	before := b.DeepCopy()
	edit(&b.Status)
	if err := w.Status().Patch(w.Context(), b, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

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
	one, two := w.watch("one"), w.watch("two")
	defer one()
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(second, "main@sha1:3333") })
	w.expect(w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "main@sha1:3333"), w.local(second), v1alpha1.CauseSource, 2)
	if got := w.builds.Load(); got != 2 {
		t.Errorf("two builders built %d times", got-1)
	}
	two()

	// What does not build says so with the compiler's words, and is left alone until somebody asks.
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(program(t, "undefinedName"), "main@sha1:4444") })
	b = w.eventually(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "main.go:3:23: undefined: undefinedName")
	if !strings.HasPrefix(meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady).Message, "go build .:") || b.Status.LatestImage != w.host+"/apps/hello@"+w.local(second) {
		t.Errorf("status %+v", b.Status)
	}
	stop()
	stop = w.manage()
	w.change(func(b *v1alpha1.Build) { b.Labels["touched"] = "yes" })
	if got := w.builds.Load(); got != 3 {
		t.Errorf("what does not build was built %d times", got-2)
	}
	w.change(func(b *v1alpha1.Build) { b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"} })
	for w.builds.Load() < 4 {
		time.Sleep(20 * time.Millisecond)
	}
	w.eventually(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "undefinedName")

	// Repaired; then asked for again; then with another configuration.
	w.change(func(b *v1alpha1.Build) { b.Spec.Source = w.push(first, "main@sha1:5555") })
	w.expect(w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "5555"), w.local(first), "SOURCE,MANUAL", 3)
	w.change(func(b *v1alpha1.Build) { b.Annotations[v1alpha1.AnnotationRequestedAt] = "later" })
	for w.get().Status.Builds < 4 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(first), v1alpha1.CauseManual, 4)
	w.change(func(b *v1alpha1.Build) {
		b.Spec.Env = []v1alpha1.BuildVariable{{Name: "GOFLAGS", Value: "-tags=other"}}
	})
	for w.get().Status.Builds < 5 {
		time.Sleep(20 * time.Millisecond)
	}
	if b := w.get(); b.Status.LatestReason != v1alpha1.CauseConfig {
		t.Errorf("status %+v", b.Status)
	}
	if got := w.builds.Load(); got != 7 {
		t.Errorf("%d builds", got)
	}
}
