// Package apitest gives tests of controllers a real API server with the project's kinds, and managers as slipwayd makes
// them. There are no kubelets and no controllers of Kubernetes: what becomes of a pod or a Job, the test says. It is for
// tests alone.
package apitest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	cartov1alpha1 "slipway.dev/slipway/api/carto/v1alpha1"
	conventionsv1alpha1 "slipway.dev/slipway/api/conventions/v1alpha1"
	slipwayv1alpha1 "slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/ownwrites"
)

// Server is an API server; its Client reads and writes without a cache.
type Server struct {
	client.Client

	Config *rest.Config
}

// Start starts an API server that ends with the test, changed as told before. Without the programs for it, which the
// environment variable KUBEBUILDER_ASSETS leads to, the test is skipped.
func Start(t *testing.T, changes ...func(*envtest.Environment)) *Server {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: scripts/test-api.sh runs this")
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root(t), "embedded", "crds")}, ErrorIfCRDPathMissing: true}
	for _, change := range changes {
		change(environment)
	}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		cartov1alpha1.AddToScheme, conventionsv1alpha1.AddToScheme, slipwayv1alpha1.AddToScheme, clientgoscheme.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Client: direct, Config: config}
}

// root is the module's: tests run in the folder of their package.
func root(t *testing.T) string {
	t.Helper()
	for dir, deep := ".", 0; deep < 10; dir, deep = filepath.Join("..", dir), deep+1 {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no folder above this one has a go.mod")
	return ""
}

// Core is the client by which tokens of service accounts are asked for.
func (s *Server) Core(t *testing.T) clientcorev1.CoreV1Interface {
	t.Helper()
	core, err := clientcorev1.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// Manager makes a manager with slipwayd's client. Several may have controllers of one name, one after the other.
func (s *Server) Manager(t *testing.T) ctrl.Manager {
	t.Helper()
	sameNames := true
	mgr, err := ctrl.NewManager(s.Config, ctrl.Options{
		Scheme: s.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, NewClient: ownwrites.New,
		Controller: config.Controller{SkipNameValidation: &sameNames},
	})
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// Run starts a manager and returns what stops it; it stops with the test, too.
func Run(t *testing.T, mgr ctrl.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// ApplyManifest writes one document of a manifest, whatever other writers have made of the object.
func (s *Server) ApplyManifest(t *testing.T, manifest string) error {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), object); err != nil {
		t.Fatal(err)
	}
	return s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership)
}
