package image

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// private lets user "dev" with password "secret" in, and nobody else.
func private() http.Handler {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if (user != "dev" || password != "secret") && !strings.HasPrefix(r.Header.Get("User-Agent"), administrator) {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// administrator is the user agent under which tests push.
const administrator = "administrator"

func pushAsAdministrator(t *testing.T, reference string) {
	push(t, reference, remote.WithUserAgent(administrator))
}

func pullSecret(t *testing.T, name, host, password string) *corev1.Secret {
	t.Helper()
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": "dev", "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
	}
}

func TestPullSecrets(t *testing.T) {
	named := func(account string, secrets ...string) *v1alpha1.Image {
		image := newImage("localhost:5000/demo:v1")
		image.Spec.ServiceAccountName = account
		for _, secret := range secrets {
			image.Spec.ImagePullSecrets = append(image.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
		}
		return image
	}
	account := &corev1.ServiceAccount{
		ObjectMeta:       metav1.ObjectMeta{Namespace: "default", Name: "builder"},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "good"}},
	}
	broken := pullSecret(t, "broken", "x", "y")
	broken.Data[corev1.DockerConfigJsonKey] = []byte("not json")
	tests := []struct {
		name    string
		image   *v1alpha1.Image
		reason  string
		message string
	}{
		{"none", named(""), v1alpha1.ReasonUnauthorized, "is private"},
		{"right one", named("", "good"), v1alpha1.ReasonResolved, ""},
		{"wrong password", named("", "bad"), v1alpha1.ReasonUnauthorized, ""},
		{"missing one is named", named("", "forgotten"), v1alpha1.ReasonUnauthorized, `["forgotten"]`},
		{"missing one beside the right one", named("", "forgotten", "good"), v1alpha1.ReasonResolved, ""},
		{"one that may not be read", named("", "hidden"), v1alpha1.ReasonUnauthorized, `may not read: ["hidden"]`},
		{"unreadable", named("", "broken"), v1alpha1.ReasonInvalidPullSecret, "kubectl create secret docker-registry"},
		{"of the service account", named("builder"), v1alpha1.ReasonResolved, ""},
		{"no such service account", named("nobody"), v1alpha1.ReasonUnauthorized, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			good, bad := pullSecret(t, "good", "localhost:5000", "secret"), pullSecret(t, "bad", "localhost:5000", "guess")
			w := newWorld(t, private(), test.image, account.DeepCopy(), good, bad, broken.DeepCopy())
			pushAsAdministrator(t, w.host+"/demo:v1")
			image, _ := w.reconcile()
			status := metav1.ConditionFalse
			if test.reason == v1alpha1.ReasonResolved {
				status = metav1.ConditionTrue
			}
			wantReady(t, image, status, test.reason, test.message)
		})
	}
}

func TestPullSecretIsTakenUpWhenItAppears(t *testing.T) {
	image := newImage("localhost:5000/demo:v1")
	image.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "good"}}
	w := newWorld(t, private(), image)
	pushAsAdministrator(t, w.host+"/demo:v1")
	got, _ := w.reconcile()
	wantReady(t, got, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, `["good"]`)
	if err := w.client.Create(t.Context(), pullSecret(t, "good", "localhost:5000", "secret")); err != nil {
		t.Fatal(err)
	}
	got, _ = w.reconcile()
	wantReady(t, got, metav1.ConditionTrue, v1alpha1.ReasonResolved, "")
}

func TestSessionsAreKept(t *testing.T) {
	w := newWorld(t, nil, newImage("localhost:5000/demo:v1"))
	push(t, w.host+"/demo:v1")
	w.reconcile()
	w.reconcile()
	if n := w.registries.Sessions(); n != 1 {
		t.Errorf("%d sessions after two questions, want 1", n)
	}
}
