package convention

import (
	"archive/tar"
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

// label is a convention that adds a label named after it and says what it was shown.
func label(t *testing.T, name string, asked *int) *v1alpha1.ClusterPodConvention {
	return served(t, name, func(question podConventionContext) (int, any) {
		*asked++
		if want := "demo-" + name; question.Name != want {
			t.Errorf("the question is named %q, want %q", question.Name, want)
		}
		template := question.Spec.Template
		template.Annotations = map[string]string{"seen": template.Annotations["seen"] + name + " " + question.Spec.ImageConfig[0].Config.Config.User + ";"}
		return http.StatusOK, podConventionContext{Status: contextStatus{Template: template, AppliedConventions: []string{"a", "b"}}}
	})
}

func TestConventionsInTurn(t *testing.T) {
	var asked int
	last, first, middle := label(t, "aaa", &asked), label(t, "zzz", &asked), label(t, "mmm", &asked)
	last.Spec.Priority, first.Spec.Priority = v1alpha1.PriorityLate, v1alpha1.PriorityEarly
	middle.Spec.Selectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"no": "way"}}, {MatchLabels: map[string]string{"of": "intent"}}}
	middle.Spec.SelectorTarget = v1alpha1.TargetPodIntent
	other, off := label(t, "other", &asked), label(t, "off", &asked)
	other.Spec.Selectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"of": "intent"}}} // of the template, which has it not
	off.Spec.Suspend = true
	w := newWorld(t, newIntent(oneContainer), last, first, middle, other, off, builtIn("probe", "Restricted"))
	digest := w.push("demo:v1", v1.Config{User: "me"})
	intent, template, result := w.reconcile()
	w.want(intent, metav1.ConditionTrue, v1alpha1.ReasonConventionsApplied, "")
	want := map[string]string{
		"seen":                     "zzz me;mmm me;aaa me;",
		v1alpha1.AnnotationApplied: "zzz/a\nzzz/b\nmmm/a\nmmm/b\nprobe/restricted\naaa/a\naaa/b",
	}
	if diff := cmp.Diff(want, template.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if got, want := template.Spec.Containers[0].Image, "localhost:5000/demo@"+digest; got != want {
		t.Errorf("image %s, want %s", got, want)
	}
	if !result.IsZero() || asked != 3 {
		t.Errorf("result %v after %d questions, want none and 3", result, asked)
	}
	w.reconcile()
	if w.writes != 1 || asked != 3 {
		t.Errorf("%d writes and %d questions after nothing has changed, want 1 and 3", w.writes, asked)
	}
	// Another image under the same tag, and then one convention less.
	w.push("demo:v1", v1.Config{User: "you"})
	if _, template, _ = w.reconcile(); template.Annotations["seen"] != "zzz you;mmm you;aaa you;" {
		t.Errorf("after a push: %q", template.Annotations["seen"])
	}
	if err := w.client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, template, _ = w.reconcile(); template.Annotations["seen"] != "mmm you;aaa you;" {
		t.Errorf("without the first: %q", template.Annotations["seen"])
	}
}

func TestNothingFits(t *testing.T) {
	w := newWorld(t, newIntent(oneContainer))
	intent, template, _ := w.reconcile()
	w.want(intent, metav1.ConditionTrue, v1alpha1.ReasonConventionsApplied, "")
	if image := template.Spec.Containers[0].Image; image != "localhost:5000/demo:v1" || template.Annotations != nil {
		t.Errorf("image %s, annotations %v: want the template as it was", image, template.Annotations)
	}
}

func TestTroubles(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	broken := builtIn("broken", "Ports")
	broken.Spec.Selectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}}
	certified := served(t, "certified", nil)
	certified.Spec.Webhook.Certificate = &v1alpha1.CertificateReference{Namespace: "there", Name: "cert"}
	foreign := newIntent(oneContainer)
	foreign.Spec.ServiceAccountName = "nobody"
	lost := newIntent(strings.ReplaceAll(oneContainer, "demo:v1", "lost:v1"))
	tests := []struct {
		name       string
		intent     *v1alpha1.PodIntent
		convention *v1alpha1.ClusterPodConvention
		reason     string
		message    string
		again      bool
	}{
		{"no pod template", newIntent(`{"spec": {"replicas": 1}}`), builtIn("x", "Ports"), v1alpha1.ReasonInvalidTemplate, `unknown field "spec.replicas"`, false},
		{"selector", newIntent(oneContainer), broken, v1alpha1.ReasonLabelSelector, `filtering conventions failed: unable to convert label selector for ClusterPodConvention "broken": `, false},
		{"no authority", newIntent(oneContainer), certified, v1alpha1.ReasonCABundleResolutionFailed,
			`failed to authenticate: unable to find valid "CertificateRequests" for certificate "there/cert" configured in convention "certified"`, true},
		{"no account", foreign, builtIn("x", "Ports"), v1alpha1.ReasonImageResolutionFailed, `failed to authenticate: serviceaccounts "nobody" not found`, true},
		{"no image", lost, builtIn("x", "Ports"), v1alpha1.ReasonConventionsApplied, `failed to fetch metadata for Images: image: "localhost:5000/lost:v1" error: `, true},
		{"it answers an error", newIntent(oneContainer), served(t, "sick", func(podConventionContext) (int, any) { return http.StatusInternalServerError, "oh" }),
			v1alpha1.ReasonConventionsApplied, `failed to apply convention with name sick: its server `, true},
		{"it answers nothing", newIntent(oneContainer), served(t, "mute", func(podConventionContext) (int, any) { return http.StatusOK, podConventionContext{} }),
			v1alpha1.ReasonConventionsApplied, `answered without a template`, true},
		{"it hangs", newIntent(oneContainer), served(t, "slow", func(podConventionContext) (int, any) { <-hang; return http.StatusOK, nil }),
			v1alpha1.ReasonConventionsApplied, `did not answer in`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.intent, test.convention)
			if test.name == "it hangs" { // the others answer, however slow the machine is
				w.webhooks.timeout = 50 * time.Millisecond
			}
			w.push("demo:v1", v1.Config{})
			intent, _, result := w.reconcile()
			w.want(intent, metav1.ConditionFalse, test.reason, test.message)
			if (result.RequeueAfter > 0) != test.again {
				t.Errorf("result %v, want again: %v", result, test.again)
			}
		})
	}
}

// TestOneThatHangs: it is not waited for again and again, and the last good template stays.
func TestOneThatHangs(t *testing.T) {
	hang, asked := make(chan struct{}), atomic.Int32{}
	w := newWorld(t, newIntent(oneContainer), builtIn("first", "Restricted"))
	defer close(hang)
	w.webhooks.timeout = 20 * time.Millisecond
	w.push("demo:v1", v1.Config{})
	_, good, _ := w.reconcile()
	slow := served(t, "slow", func(podConventionContext) (int, any) { asked.Add(1); <-hang; return http.StatusOK, nil })
	if err := w.client.Create(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	intent, kept, _ := w.reconcile()
	w.want(intent, metav1.ConditionFalse, v1alpha1.ReasonConventionsApplied, "failed to apply convention with name slow")
	if diff := cmp.Diff(good, kept); diff != "" {
		t.Errorf("the template that was good did not stay:\n%s", diff)
	}
	intent, _, _ = w.reconcile()
	w.want(intent, metav1.ConditionFalse, v1alpha1.ReasonConventionsApplied, "is asked again in a moment")
	// On a busy machine the time may be over before the server has heard the question.
	if got := asked.Load(); got > 1 {
		t.Errorf("the server that hangs was asked %d times, want once", got)
	}
	if err := w.client.Delete(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	intent, _, _ = w.reconcile()
	w.want(intent, metav1.ConditionTrue, v1alpha1.ReasonConventionsApplied, "")
}

func TestBillsOfMaterial(t *testing.T) {
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	for name, raw := range map[string]string{"layers/sbom.cdx.json": `{"bomFormat": "CycloneDX"}`} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(raw)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer := static.NewLayer(content.Bytes(), types.OCIUncompressedLayer)
	id, err := layer.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	var got []bom
	convention := served(t, "spring", func(question podConventionContext) (int, any) {
		got = question.Spec.ImageConfig[0].BOMs
		return http.StatusOK, podConventionContext{Status: contextStatus{Template: question.Spec.Template}}
	})
	w := newWorld(t, newIntent(oneContainer), convention)
	w.push("demo:v1", v1.Config{Labels: map[string]string{lifecycleLabel: `{"sbom": {"sha": "` + id.String() + `"}}`}}, layer)
	intent, _, _ := w.reconcile()
	w.want(intent, metav1.ConditionTrue, v1alpha1.ReasonConventionsApplied, "")
	if diff := cmp.Diff([]bom{{Name: "cnb-app:layers/sbom.cdx.json", Raw: []byte(`{"bomFormat": "CycloneDX"}`)}}, got); diff != "" {
		t.Errorf("bills of material (-want +got):\n%s", diff)
	}
	if _, _, err := readBOMs(tar.NewReader(&content), 3); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("one that is too large: %v", err)
	}
}

// TestAuthorities has certificate requests of which only some count.
func TestAuthorities(t *testing.T) {
	var asked int
	convention := label(t, "certified", &asked)
	bundle := convention.Spec.Webhook.ClientConfig.CABundle
	convention.Spec.Webhook.ClientConfig.CABundle = nil
	convention.Spec.Webhook.Certificate = &v1alpha1.CertificateReference{Namespace: "there", Name: "cert"}
	request := func(name, of, ready string, authority any) client.Object {
		object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"ca": authority, "conditions": []any{map[string]any{"type": "Ready", "status": ready}}}}}
		object.SetAPIVersion("cert-manager.io/v1")
		object.SetKind("CertificateRequest")
		object.SetNamespace("there")
		object.SetName(name)
		object.SetAnnotations(map[string]string{certificateAnnotation: of})
		return object
	}
	encoded := base64Of(bundle)
	w := newWorld(t, newIntent(oneContainer), convention, request("denied", "cert", "False", encoded), request("other", "another", "True", encoded))
	w.push("demo:v1", v1.Config{})
	intent, _, _ := w.reconcile()
	w.want(intent, metav1.ConditionFalse, v1alpha1.ReasonCABundleResolutionFailed, "there/cert")
	if err := w.client.Create(t.Context(), request("granted", "cert", "True", encoded)); err != nil {
		t.Fatal(err)
	}
	intent, _, _ = w.reconcile()
	w.want(intent, metav1.ConditionTrue, v1alpha1.ReasonConventionsApplied, "")
}
