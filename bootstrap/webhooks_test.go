package bootstrap

import (
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
)

// TestWebhookManifests compares the names in the manifests with those that the code looks for.
func TestWebhookManifests(t *testing.T) {
	contents, err := embedded.Manifests("webhooks")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, content := range contents {
		objects, err := kube.Decode(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			found[kube.Name(object)] = object
		}
	}
	for _, name := range []string{
		"Service " + environment.Namespace + "/" + webhookName,
		"Certificate " + environment.Namespace + "/" + webhookName,
		"ValidatingWebhookConfiguration " + webhookConfiguration,
	} {
		if found[name] == nil {
			t.Fatalf("%s is not among the manifests", name)
		}
	}
	secret, _, _ := unstructured.NestedString(found["Certificate "+environment.Namespace+"/"+webhookName].Object, "spec", "secretName")
	if secret != webhookName {
		t.Errorf("the certificate's secret is %q, want %q", secret, webhookName)
	}
	configuration := found["ValidatingWebhookConfiguration "+webhookConfiguration]
	if from := configuration.GetAnnotations()["cert-manager.io/inject-ca-from"]; from != environment.Namespace+"/"+webhookName {
		t.Errorf("the certificate authority comes from %q", from)
	}
}

func TestWebhooksTrusted(t *testing.T) {
	webhook := func(bundle string) any {
		return map[string]any{"clientConfig": map[string]any{"caBundle": bundle}}
	}
	for _, test := range []struct {
		name     string
		webhooks []any
		ready    bool
		detail   string
	}{
		{"all", []any{webhook("x"), webhook("y")}, true, "2 kinds are checked"},
		{"one is missing", []any{webhook("x"), webhook("")}, false, "1 of 2 have a certificate authority; supply chains and templates cannot be written"},
		{"none there", nil, false, "0 of 0 have a certificate authority; supply chains and templates cannot be written"},
	} {
		configuration := &unstructured.Unstructured{Object: map[string]any{"webhooks": test.webhooks}}
		if ready, detail := webhooksTrusted(configuration); ready != test.ready || detail != test.detail {
			t.Errorf("%s: %v %q, want %v %q", test.name, ready, detail, test.ready, test.detail)
		}
	}
}

func TestWebhookSilent(t *testing.T) {
	silent := errors.New(`Internal error occurred: failed calling webhook "template-validator.slipway.dev": connection refused`)
	refused := errors.New(`admission webhook "template-validator.slipway.dev" denied the request: invalid template`)
	if !webhookSilent(fmt.Errorf("applying: %w", silent)) || webhookSilent(refused) {
		t.Error("silence and refusal are confused")
	}
}
