package webhook

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

var manifests = filepath.Join("..", "..", "..", "embedded", "manifests", "webhooks")

// TestConfigurationAsksForWhatIsServed compares the manifest with the paths that are served.
func TestConfigurationAsksForWhatIsServed(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(manifests, "configuration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration admissionregistrationv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(content, &configuration); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, webhook := range configuration.Webhooks {
		asked = append(asked, *webhook.ClientConfig.Service.Path)
	}
	slices.Sort(asked)
	if diff := cmp.Diff(Paths(), asked); diff != "" {
		t.Errorf("paths (-served +asked):\n%s", diff)
	}
}

func TestHandle(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	h := &handler{empty: kinds[path(v1alpha1.KindClusterTemplate)], decoder: ctrladmission.NewDecoder(scheme)}
	const broken = `{"apiVersion":"carto.run/v1alpha1","kind":"ClusterTemplate","metadata":{"name":"t"},"spec":{}}`
	const going = `{"apiVersion":"carto.run/v1alpha1","kind":"ClusterTemplate","metadata":{"name":"t","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{}}`
	for _, test := range []struct {
		name      string
		operation admissionv1.Operation
		object    string
		allowed   bool
		code      int32
	}{
		{"one that breaks a rule is refused", admissionv1.Create, broken, false, 403},
		{"also when it is changed", admissionv1.Update, broken, false, 403},
		{"not when it is deleted", admissionv1.Delete, "", true, 200},
		{"nor while it is being deleted", admissionv1.Update, going, true, 200},
		{"what cannot be read is refused", admissionv1.Create, `{`, false, 400},
		{"nothing is refused", admissionv1.Create, ``, false, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				UID: types.UID("1"), Operation: test.operation, Object: runtime.RawExtension{Raw: []byte(test.object)},
			}}
			response := h.Handle(t.Context(), request)
			if response.Allowed != test.allowed || response.Result.Code != test.code {
				t.Errorf("Handle = %v %+v, want %v %d", response.Allowed, response.Result, test.allowed, test.code)
			}
		})
	}
}
