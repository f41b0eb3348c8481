package image

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// world is a registry in memory, known to users as localhost:5000, and a cluster with one Image.
type world struct {
	*reconciler
	t      *testing.T
	host   string
	writes int
}

func newWorld(t *testing.T, handler http.Handler, objects ...client.Object) *world {
	t.Helper()
	if handler == nil {
		handler = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	w := &world{t: t, host: strings.TrimPrefix(server.URL, "http://")}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Image{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			w.writes++
			return c.SubResource(sub).Patch(ctx, object, patch, options...)
		}}).Build()
	w.reconciler = newReconciler(cluster, cluster, nil, Options{
		Aliases: map[string]string{"localhost:5000": w.host},
		Logger:  slog.New(slog.DiscardHandler),
		Secrets: inTheOpen{cluster},
	})
	return w
}

// inTheOpen reads secrets without asking who does.
type inTheOpen struct{ client.Reader }

func (s inTheOpen) Secret(ctx context.Context, account types.NamespacedName, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if name == "hidden" {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, nil)
	}
	return secret, s.Get(ctx, client.ObjectKey{Namespace: account.Namespace, Name: name}, secret)
}

func newImage(reference string) *v1alpha1.Image {
	return &v1alpha1.Image{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1}, Spec: v1alpha1.ImageSpec{Image: reference}}
}

// push writes a new image to the registry, under its real name, and returns its digest.
func push(t *testing.T, reference string, options ...remote.Option) string {
	t.Helper()
	made, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, made, options...); err != nil {
		t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// reconcile does so once and returns the Image and the result.
func (w *world) reconcile() (*v1alpha1.Image, ctrl.Result) {
	w.t.Helper()
	key := client.ObjectKey{Namespace: "default", Name: "demo"}
	result, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		w.t.Fatal(err)
	}
	var image v1alpha1.Image
	if err := w.client.Get(w.t.Context(), key, &image); err != nil {
		w.t.Fatal(err)
	}
	return &image, result
}

func wantReady(t *testing.T, image *v1alpha1.Image, status metav1.ConditionStatus, reason, message string) {
	t.Helper()
	condition := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionReady)
	if condition == nil {
		t.Fatal("there is no condition Ready")
	}
	if condition.Status != status || condition.Reason != reason || !strings.Contains(condition.Message, message) {
		t.Errorf("Ready = %s %s %q, want %s %s and %q in it", condition.Status, condition.Reason, condition.Message, status, reason, message)
	}
}

func TestReconcileFollowsATag(t *testing.T) {
	w := newWorld(t, nil, newImage("localhost:5000/apps/demo"))

	image, result := w.reconcile()
	wantReady(t, image, metav1.ConditionFalse, v1alpha1.ReasonNotFound, `has no tag "latest" of localhost:5000/apps/demo`)
	if result.RequeueAfter <= 0 || result.RequeueAfter > DefaultPollInterval {
		t.Errorf("looks again after %v, want at most %v", result.RequeueAfter, DefaultPollInterval)
	}

	first := push(t, w.host+"/apps/demo:latest")
	image, _ = w.reconcile()
	wantReady(t, image, metav1.ConditionTrue, v1alpha1.ReasonResolved, "")
	want := v1alpha1.ImageStatus{LatestImage: "localhost:5000/apps/demo@" + first, Complete: true, ObservedGeneration: 1}
	if diff := cmp.Diff(want, image.Status, cmpopts.IgnoreFields(v1alpha1.ImageStatus{}, "Conditions")); diff != "" {
		t.Errorf("status differs (-want +got):\n%s", diff)
	}

	written := w.writes
	w.reconcile()
	if w.writes != written {
		t.Error("the status was written although nothing had changed")
	}

	second := push(t, w.host+"/apps/demo:latest")
	image, result = w.reconcile()
	if want := "localhost:5000/apps/demo@" + second; image.Status.LatestImage != want {
		t.Errorf("latestImage = %s, want %s", image.Status.LatestImage, want)
	}
	if result.RequeueAfter == 0 {
		t.Error("without a stream the image is not polled")
	}

	image.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
	if err := w.client.Update(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	if image, _ = w.reconcile(); image.Status.LastHandledRequest != "now" {
		t.Errorf("the request that was heeded is %q", image.Status.LastHandledRequest)
	}
}

func TestReconcileKeepsTheLastImage(t *testing.T) {
	healthy := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	broken := false
	w := newWorld(t, http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if broken {
			http.Error(out, "the disk is gone", http.StatusInternalServerError)
			return
		}
		healthy.ServeHTTP(out, in)
	}), newImage("localhost:5000/apps/demo:v1"))
	digest := push(t, w.host+"/apps/demo:v1")
	w.reconcile()

	broken = true
	image, result := w.reconcile()
	wantReady(t, image, metav1.ConditionFalse, v1alpha1.ReasonUnreachable, "500 Internal Server Error")
	if image.Status.LatestImage != "localhost:5000/apps/demo@"+digest || image.Status.Complete {
		t.Errorf("status = %+v, want the last image, not complete", image.Status)
	}
	if result.RequeueAfter == 0 {
		t.Error("a failure is not tried again")
	}
	written := w.writes
	w.reconcile()
	if w.writes != written {
		t.Error("the same failure was written twice")
	}

	broken = false
	image, _ = w.reconcile()
	wantReady(t, image, metav1.ConditionTrue, v1alpha1.ReasonResolved, "")
	if !image.Status.Complete {
		t.Error("not complete after the registry is back")
	}
}

func TestReconcileSaysWhyItCannot(t *testing.T) {
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.WriteHeader(status)
		})
	}
	tests := []struct {
		name    string
		handler http.Handler
		image   *v1alpha1.Image
		reason  string
		message string
		retries bool
	}{
		{"not a name", nil, newImage("Not A Name"), v1alpha1.ReasonInvalidReference, "spec.image", false},
		{"refused", nil, newImage("127.0.0.1:1/demo"), v1alpha1.ReasonUnreachable, "127.0.0.1:1 cannot be reached: connect: connection refused", true},
		{"no such host", nil, newImage("no-such-host.invalid/demo"), v1alpha1.ReasonUnreachable, "no-such-host.invalid", true},
		{"unauthorized", answer(http.StatusUnauthorized), newImage("localhost:5000/demo"), v1alpha1.ReasonUnauthorized, "spec.imagePullSecrets", true},
		{"forbidden", answer(http.StatusForbidden), newImage("localhost:5000/demo"), v1alpha1.ReasonUnauthorized, "does not exist, or is private", true},
		{"too many", answer(http.StatusTooManyRequests), newImage("localhost:5000/demo"), v1alpha1.ReasonRateLimited, "too often", true},
		{"not a registry", answer(http.StatusTeapot), newImage("localhost:5000/demo"), v1alpha1.ReasonUnreachable, "answers 418", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.handler, test.image)
			image, result := w.reconcile()
			wantReady(t, image, metav1.ConditionFalse, test.reason, test.message)
			if got := result.RequeueAfter > 0; got != test.retries {
				t.Errorf("retries = %v, want %v", got, test.retries)
			}
			written := w.writes
			w.reconcile()
			if w.writes != written {
				t.Error("the second attempt said something else")
			}
		})
	}
}

func TestReconcileTakesADigestAtItsWord(t *testing.T) {
	w := newWorld(t, nil, newImage("127.0.0.1:1/demo:v1@"+someDigest))
	image, result := w.reconcile()
	wantReady(t, image, metav1.ConditionTrue, v1alpha1.ReasonResolved, "")
	if want := "127.0.0.1:1/demo@" + someDigest; image.Status.LatestImage != want {
		t.Errorf("latestImage = %s, want %s", image.Status.LatestImage, want)
	}
	if result.RequeueAfter != 0 {
		t.Error("a digest is polled")
	}
}

func TestReconcileFallsBackToGet(t *testing.T) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	pushed := false // pushing asks with HEAD itself
	w := newWorld(t, http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if pushed && in.Method == http.MethodHead && strings.Contains(in.URL.Path, "/manifests/") {
			out.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		inner.ServeHTTP(out, in)
	}), newImage("localhost:5000/demo:v1"))
	digest := push(t, w.host+"/demo:v1")
	pushed = true
	if image, _ := w.reconcile(); image.Status.LatestImage != "localhost:5000/demo@"+digest {
		t.Errorf("latestImage = %q, want the digest %s", image.Status.LatestImage, digest)
	}
}

func TestReconcileIgnoresWhatIsGone(t *testing.T) {
	w := newWorld(t, nil)
	result, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "default", Name: "gone"}})
	if err != nil || result.RequeueAfter != 0 {
		t.Errorf("Reconcile = %v, %v; want nothing", result, err)
	}
}
