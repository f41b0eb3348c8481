package webhook

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

const patience = 30 * time.Second

// TestRulesOnARealAPIServer has a real API server ask for each golden case of package admission. The certificate
// comes from a Secret that is made only after the webhooks run, as with cert-manager.
func TestRulesOnARealAPIServer(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: there is no API server")
	}
	ctrllog.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "embedded", "crds")},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{filepath.Join(manifests, "configuration.yaml")}},
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
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	var warned warnings
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = &warned
	c, err := client.New(config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	webhooks := serve(t, config, known, &environment.WebhookInstallOptions)

	probe := &unstructured.Unstructured{}
	read(t, "apiVersion: carto.run/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: probe}\nspec: {}", probe)
	if err := c.Create(t.Context(), probe.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("without a certificate: %v, want a failed call", err)
	}
	provideCertificate(t, c, &environment.WebhookInstallOptions)
	const refusal = `admission webhook "template-validator.slipway.dev" denied the request: invalid template: must specify one of template or ytt, found neither`
	var last error
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = c.Create(ctx, probe.DeepCopy(), client.DryRunAll)
		return last != nil && last.Error() == refusal, nil
	})
	if err != nil {
		t.Fatalf("with a certificate: %v, want %s", last, refusal)
	}
	if err := webhooks.Ready(nil); err != nil {
		t.Errorf("Ready = %v", err)
	}

	cases, err := filepath.Glob(filepath.Join("..", "admission", "testdata", "*.txtar"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { ask(t, c, &warned, file) })
	}
}

// ask has the API server judge the object of a golden file without storing it.
func ask(t *testing.T, c client.Client, warned *warnings, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{}
	for _, f := range archive.Files {
		given[f.Name] = strings.TrimSpace(string(f.Data))
	}
	object := &unstructured.Unstructured{}
	read(t, given["object.yaml"], object)
	if !strings.HasPrefix(object.GetKind(), "Cluster") {
		object.SetNamespace("default")
	}
	warned.take()
	err = c.Create(t.Context(), object, client.DryRunAll)
	switch {
	case apierrors.IsInvalid(err) && given["error"] != "":
		t.Logf("refused by the schema already: %v", err)
		return
	case given["error"] == "" && err != nil:
		t.Errorf("refused: %v", err)
	case given["error"] != "" && (err == nil || !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "denied the request: "+given["error"])):
		t.Errorf("error %v, want %s", err, given["error"])
	}
	if got := strings.Join(warned.take(), "\n"); got != given["warnings"] {
		t.Errorf("warnings %q, want %q", got, given["warnings"])
	}
}

func serve(t *testing.T, config *rest.Config, known *runtime.Scheme, install *envtest.WebhookInstallOptions) *Webhooks {
	t.Helper()
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: known, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	webhooks, err := Setup(mgr, Options{
		Addr:   net.JoinHostPort(install.LocalServingHost, strconv.Itoa(install.LocalServingPort)),
		Secret: types.NamespacedName{Namespace: "default", Name: "certificate"},
		As:     func(context.Context) (dynamic.Interface, error) { return dynamic.NewForConfig(config) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended with: %v", err)
		}
	})
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) { return webhooks.Ready(nil) == nil, nil })
	if err != nil {
		t.Fatalf("not ready: %v", webhooks.Ready(nil))
	}
	return webhooks
}

func provideCertificate(t *testing.T, c client.Client, install *envtest.WebhookInstallOptions) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "certificate"}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{}}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		content, err := os.ReadFile(filepath.Join(install.LocalServingCertDir, key))
		if err != nil {
			t.Fatal(err)
		}
		secret.Data[key] = content
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, text string, into *unstructured.Unstructured) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &into.Object); err != nil {
		t.Fatal(err)
	}
}

// warnings keeps what the API server warns of.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext is for rest.Config.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}
