package controller

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

// TestNoIdentity has every reason for which there is no identity, which owners and Runnables publish.
func TestNoIdentity(t *testing.T) {
	known := runtime.NewScheme()
	if err := corev1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	there := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "there", UID: "1"}}
	tokens := clientset.NewClientset()
	tokens.PrependReactor("create", "serviceaccounts/token", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, "there", nil)
	})
	for _, test := range []struct{ name, account, host, reason, words string }{
		{"no account", "missing", "http://localhost:1", v1alpha1.ReasonServiceAccountError, `getting service account [dev/missing]: serviceaccounts "missing" not found`},
		{"no token", "there", "http://localhost:1", v1alpha1.ReasonServiceAccountTokenError, "requesting a token for service account [dev/there]: "},
		{"no client", "there", "http://local host:1", v1alpha1.ReasonResourceRealizerBuilder, "preparing a client for service account [dev/there]: "},
	} {
		a := &accounts{client: fake.NewClientBuilder().WithScheme(known).WithObjects(there.DeepCopy()).Build(),
			identities: identity.NewPool(&rest.Config{Host: test.host}, tokens.CoreV1()), waiting: newWaiting()}
		_, err := a.identity(t.Context(), types.NamespacedName{Namespace: "dev", Name: test.account})
		if err == nil || reasonOf(err) != test.reason || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v (%s), want %s and %q", test.name, err, reasonOf(err), test.reason, test.words)
		}
		if again := retryable(err); test.reason != v1alpha1.ReasonResourceRealizerBuilder && again != nil {
			t.Errorf("%s: it is tried again, which only a change of roles or accounts can help", test.name)
		}
	}
}
