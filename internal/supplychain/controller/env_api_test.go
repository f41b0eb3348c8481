package controller

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/ownwrites"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// patience is how long a test waits for the controller before it fails.
const patience = 30 * time.Second

// apiServer is the configuration of the API server of all tests here; nil where there is none.
var apiServer *rest.Config

func TestMain(m *testing.M) { os.Exit(withAPIServer(m.Run)) }

func withAPIServer(run func() int) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return run()
	}
	ctrllog.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "embedded", "crds")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	if err != nil {
		slog.Error("starting the API server", "error", err)
		return 1
	}
	apiServer = config
	code := run()
	if err := environment.Stop(); err != nil {
		slog.Error("stopping the API server", "error", err)
	}
	return code
}

// bench is a namespace of its own on the API server, in which one test works.
type bench struct {
	*testing.T
	client    client.Client
	scheme    *runtime.Scheme
	namespace string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if apiServer == nil {
		t.Skip("KUBEBUILDER_ASSETS is not set: there is no API server")
	}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(apiServer, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{}
	namespace.GenerateName = "test-"
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return &bench{T: t, client: c, scheme: known, namespace: namespace.Name}
}

// run starts the controllers and returns what stops them; they stop with the test too.
func (b *bench) run() (stop func()) {
	b.Helper()
	mgr := b.manager()
	if err := Setup(mgr, Options{SkipNameValidation: true}); err != nil {
		b.Fatal(err)
	}
	return b.start(mgr)
}

// manager returns a manager that sees the objects of the namespaces given, or of all.
func (b *bench) manager(namespaces ...string) ctrl.Manager {
	b.Helper()
	seen := map[string]cache.Config{}
	for _, namespace := range namespaces {
		seen[namespace] = cache.Config{}
	}
	mgr, err := ctrl.NewManager(apiServer, ctrl.Options{Scheme: b.scheme, Metrics: server.Options{BindAddress: "0"}, NewClient: ownwrites.New, Cache: cache.Options{DefaultNamespaces: seen}})
	if err != nil {
		b.Fatal(err)
	}
	return mgr
}

func (b *bench) start(mgr ctrl.Manager) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			b.Errorf("the manager ended with: %v", err)
		}
	}
	b.Cleanup(stop)
	return stop
}

// apply writes the documents of a manifest, in which NS is the test's namespace (and part of cluster-wide names).
func (b *bench) apply(manifest string) {
	b.Helper()
	for _, object := range b.parse(manifest) {
		if err := b.client.Apply(b.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			b.Fatalf("applying %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		if object.GetNamespace() == "" {
			b.Cleanup(func() {
				_ = b.client.Delete(context.WithoutCancel(b.Context()), object)
			})
		}
	}
}

func (b *bench) delete(manifest string) {
	b.Helper()
	for _, object := range b.parse(manifest) {
		if err := b.client.Delete(b.Context(), object); err != nil {
			b.Fatalf("deleting %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func (b *bench) parse(manifest string) []*unstructured.Unstructured {
	b.Helper()
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split(strings.ReplaceAll(manifest, "NS", b.namespace), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			b.Fatal(err)
		}
		if !strings.HasPrefix(object.GetKind(), "Cluster") && !strings.HasPrefix(object.GetKind(), "ValidatingAdmission") && object.GetNamespace() == "" {
			object.SetNamespace(b.namespace)
		}
		objects = append(objects, object)
	}
	return objects
}

// get returns an object of the test's namespace, nil where there is none.
func (b *bench) get(apiVersion, kind, name string) *unstructured.Unstructured {
	b.Helper()
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	err := b.client.Get(b.Context(), client.ObjectKey{Namespace: b.namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		b.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return object
}

// eventually waits until what is so, and fails with what state says if it does not come to that.
func (b *bench) eventually(what string, is func() bool, state func() any) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		encoded, _ := yaml.Marshal(state())
		b.Fatalf("not so after %s: %s\nlast seen:\n%s", patience, what, encoded)
	}
}

func (b *bench) workload(name string) *v1alpha1.Workload {
	b.Helper()
	workload := &v1alpha1.Workload{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: b.namespace, Name: name}, workload); err != nil {
		b.Fatal(err)
	}
	return workload
}

// condition waits until a condition of a workload has a status and a reason, and returns its message.
func (b *bench) condition(workload, kind, status, reason string) string {
	b.Helper()
	message := ""
	b.eventually(kind+"="+status+" "+reason, func() bool {
		c := realize.Condition(b.workload(workload).Status.Conditions, kind)
		if c == nil {
			return false
		}
		message = c.Message
		return string(c.Status) == status && c.Reason == reason
	}, func() any { return b.workload(workload).Status })
	return message
}

// setImage plays the controller of Images.
func (b *bench) setImage(name, image string) {
	b.Helper()
	b.eventually("Image "+name+" exists", func() bool { return b.get("slipway.dev/v1alpha1", "Image", name) != nil }, func() any { return nil })
	object := b.get("slipway.dev/v1alpha1", "Image", name)
	object.Object["status"] = map[string]any{"latestImage": image, "complete": true}
	if err := b.client.Status().Update(b.Context(), object); err != nil {
		b.Fatal(err)
	}
}
