package convention

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

// world is a registry, known to users as localhost:5000, and a cluster with one PodIntent, demo.
type world struct {
	*reconciler
	t      *testing.T
	host   string
	writes int
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	w := &world{t: t, host: strings.TrimPrefix(server.URL, "http://")}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, account)...).WithStatusSubresource(&v1alpha1.PodIntent{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			w.writes++
			return c.SubResource(sub).Patch(ctx, object, patch, options...)
		}}).Build()
	w.reconciler = newReconciler(cluster, cluster, Options{Aliases: map[string]string{"localhost:5000": w.host}, Secrets: inTheOpen{cluster}})
	w.log = slog.New(slog.DiscardHandler)
	return w
}

// inTheOpen reads secrets without asking who does.
type inTheOpen struct{ client.Reader }

func (s inTheOpen) Secret(ctx context.Context, account types.NamespacedName, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	return secret, s.Get(ctx, client.ObjectKey{Namespace: account.Namespace, Name: name}, secret)
}

// push puts an image into the registry and returns its digest.
func (w *world) push(reference string, config v1.Config, layers ...v1.Layer) string {
	w.t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		w.t.Fatal(err)
	}
	if image, err = mutate.Config(image, config); err != nil {
		w.t.Fatal(err)
	}
	tag, err := name.NewTag(w.host + "/" + reference)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		w.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

// reconcile does so once and returns the PodIntent with its template.
func (w *world) reconcile() (*v1alpha1.PodIntent, *corev1.PodTemplateSpec, ctrl.Result) {
	w.t.Helper()
	key := client.ObjectKey{Namespace: "default", Name: "demo"}
	result, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		w.t.Fatal(err)
	}
	intent := &v1alpha1.PodIntent{}
	if err := w.client.Get(w.t.Context(), key, intent); err != nil {
		w.t.Fatal(err)
	}
	template := &corev1.PodTemplateSpec{}
	if intent.Status.Template != nil {
		if err := json.Unmarshal(intent.Status.Template.Raw, template); err != nil {
			w.t.Fatal(err)
		}
	}
	return intent, template, result
}

func newIntent(template string) *v1alpha1.PodIntent {
	return &v1alpha1.PodIntent{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1, UID: "one", Labels: map[string]string{"of": "intent"}},
		Spec:       v1alpha1.PodIntentSpec{ServiceAccountName: "default", Template: runtime.RawExtension{Raw: []byte(template)}},
	}
}

const oneContainer = `{"metadata": {"labels": {"of": "template"}}, "spec": {"containers": [{"name": "workload", "image": "localhost:5000/demo:v1"}]}}`

func builtIn(name, which string) *v1alpha1.ClusterPodConvention {
	return &v1alpha1.ClusterPodConvention{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, UID: types.UID(name)}, Spec: v1alpha1.ClusterPodConventionSpec{BuiltIn: which}}
}

// served is a convention whose server answers as handle says. Its authority is in the caBundle.
func served(t *testing.T, name string, handle func(question podConventionContext) (int, any)) *v1alpha1.ClusterPodConvention {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		var question podConventionContext
		if err := json.NewDecoder(request.Body).Decode(&question); err != nil {
			t.Errorf("reading the question: %v", err)
		}
		status, answer := handle(question)
		response.WriteHeader(status)
		_ = json.NewEncoder(response).Encode(answer)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	url := server.URL + "/hook"
	return &v1alpha1.ClusterPodConvention{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, UID: types.UID(name)},
		Spec: v1alpha1.ClusterPodConventionSpec{Webhook: &v1alpha1.ConventionWebhook{ClientConfig: admissionregistrationv1.WebhookClientConfig{
			URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		}}},
	}
}

// want checks both conditions, which always agree but for the reason of success.
func (w *world) want(intent *v1alpha1.PodIntent, status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	for _, kind := range []string{v1alpha1.ConditionConventionsApplied, v1alpha1.ConditionReady} {
		condition := meta.FindStatusCondition(intent.Status.Conditions, kind)
		if condition == nil {
			w.t.Fatalf("there is no condition %s", kind)
		}
		expected := reason
		if status == metav1.ConditionTrue && kind == v1alpha1.ConditionConventionsApplied {
			expected = v1alpha1.ReasonApplied
		}
		if condition.Status != status || condition.Reason != expected || !strings.Contains(condition.Message, message) || message == "" && condition.Message != "" {
			w.t.Errorf("%s = %s %s %q, want %s %s and %q in it", kind, condition.Status, condition.Reason, condition.Message, status, expected, message)
		}
	}
}

func base64Of(content []byte) string { return base64.StdEncoding.EncodeToString(content) }
