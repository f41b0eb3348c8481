package fulfil_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
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
	"slipway.dev/slipway/internal/build/choose"
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
