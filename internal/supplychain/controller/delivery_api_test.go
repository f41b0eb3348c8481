package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

const sourceTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterSourceTemplate
metadata: {name: source-NS}
spec:
  urlPath: .data.url
  revisionPath: .data.revision
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: $(deliverable.metadata.name)$-source}
    data: {url: $(deliverable.spec.source.image)$, revision: $(params.revision)$}`

const deployTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterDeploymentTemplate
metadata: {name: deploy-NS}
spec:
  observedCompletion:
    succeeded: {key: 'status.conditions[?(@.type=="Available")].status', value: "True"}
    failed: {key: 'status.conditions[?(@.type=="Available")].reason', value: Broken}
  template:
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: $(deliverable.metadata.name)$}
    spec:
      selector: {matchLabels: {app: $(deliverable.metadata.name)$}}
      template:
        metadata: {labels: {app: $(deliverable.metadata.name)$}}
        spec: {containers: [{name: app, image: "$(deployment.url)$:$(deployment.revision)$"}]}`

const afterTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: after-NS}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: $(deliverable.metadata.name)$-after}
    data: {url: $(deployment.url)$}`

const delivery = `
apiVersion: carto.run/v1alpha1
kind: ClusterDelivery
metadata: {name: delivery-NS}
spec:
  selector: {delivery: NS}
  serviceAccountRef: {name: stamper}
  params: [{name: revision, default: v1}]
  resources:
    - name: source
      templateRef: {kind: ClusterSourceTemplate, name: source-NS}
    - name: deploy
      deployment: {resource: source}
      templateRef: {kind: ClusterDeploymentTemplate, name: deploy-NS}
    - name: after
      deployment: {resource: deploy}
      templateRef: {kind: ClusterTemplate, name: after-NS}`

const shipped = `
apiVersion: carto.run/v1alpha1
kind: Deliverable
metadata:
  name: demo
  labels: {delivery: NS}
spec: {source: {image: registry/config}}`

func (b *bench) deliverable(name string) *v1alpha1.Deliverable {
	b.Helper()
	deliverable := &v1alpha1.Deliverable{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: b.namespace, Name: name}, deliverable); err != nil {
		b.Fatal(err)
	}
	return deliverable
}

// delivered waits until a condition of the deliverable demo has a status and a reason, and returns its message.
func (b *bench) delivered(kind, status, reason string) string {
	b.Helper()
	message := ""
	b.eventually(kind+"="+status+" "+reason, func() bool {
		c := realize.Condition(b.deliverable("demo").Status.Conditions, kind)
		if c == nil {
			return false
		}
		message = c.Message
		return string(c.Status) == status && c.Reason == reason
	}, func() any { return b.deliverable("demo").Status })
	return message
}

// available plays the controller of Deployments. observed is what it adds to the generation that it has seen.
func (b *bench) available(status, reason string, observed int64) {
	b.Helper()
	b.eventually("the Deployment says so", func() bool {
		object := b.get("apps/v1", "Deployment", "demo")
		if object == nil {
			return false
		}
		object.Object["status"] = map[string]any{
			"observedGeneration": object.GetGeneration() + observed,
			"conditions":         []any{map[string]any{"type": "Available", "status": status, "reason": reason, "message": ""}},
		}
		return b.client.Status().Update(b.Context(), object) == nil
	}, func() any { return b.deliverable("demo").Status })
}

func TestDeliveryGatedByDeployment(t *testing.T) {
	b := newBench(t)
	b.run()
	b.apply(strings.Replace(shipped, "labels: {delivery: NS}", "annotations: {}", 1))
	if got, want := b.delivered("DeliveryReady", "False", "DeliverableLabelsMissing"), "deliverable has no labels to match to delivery"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	b.apply(shipped)
	want := "no delivery found where full selector is satisfied by labels: map[delivery:" + b.namespace + "]"
	if got := b.delivered("DeliveryReady", "False", "DeliveryNotFound"); got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	b.apply(delivery)
	if got, want := b.delivered("DeliveryReady", "False", "TemplatesNotFound"), "did not find the template of the resource(s) [source, deploy, after]"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	for _, manifest := range []string{account, role, roleBinding, sourceTemplate, deployTemplate, afterTemplate} {
		b.apply(manifest)
	}
	b.delivered("DeliveryReady", "True", "Ready")
	b.delivered("ResourcesSubmitted", "False", "TemplateStampFailure") // no observedGeneration yet
	b.apply(strings.Replace(shipped, "registry/config", "registry/new", 1))
	b.eventually("a second generation", func() bool { return b.get("apps/v1", "Deployment", "demo").GetGeneration() == 2 }, func() any { return b.deliverable("demo").Status })
	b.available("False", "Slow", -1)
	if got, want := b.delivered("ResourcesSubmitted", "Unknown", "ConditionNotMet"),
		"resource [deploy] condition not met: status.observedGeneration does not equal metadata.generation: 1 != 2"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if b.get("v1", "ConfigMap", "demo-after") != nil {
		t.Error("the next resource did not wait")
	}
	b.available("True", "Fine", 0)
	b.delivered("Ready", "True", "Ready")
	if got := b.get("v1", "ConfigMap", "demo-after").Object["data"]; !cmp.Equal(got, map[string]any{"url": "registry/new"}) {
		t.Errorf("the next resource got %v", got)
	}
	b.available("False", "Broken", 0)
	if got, want := b.delivered("ResourcesSubmitted", "False", "FailedConditionMet"),
		`resource [deploy] failed condition met: deployment failure condition [status.conditions[?(@.type=="Available")].reason] was: Broken`; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	b.checkDelivered()

	b.delete(delivery)
	b.eventually("what was delivered is gone", func() bool {
		return b.get("apps/v1", "Deployment", "demo") == nil && b.get("v1", "ConfigMap", "demo-source") == nil && len(b.deliverable("demo").Status.Resources) == 0
	}, func() any { return b.deliverable("demo").Status })
}

func (b *bench) checkDelivered() {
	b.Helper()
	object, deliverable := b.get("apps/v1", "Deployment", "demo"), b.deliverable("demo")
	wantLabels := map[string]string{
		"carto.run/deliverable-name": "demo", "carto.run/deliverable-namespace": b.namespace,
		"carto.run/delivery-name": "delivery-" + b.namespace, "carto.run/resource-name": "deploy",
		"carto.run/template-kind": "ClusterDeploymentTemplate", "carto.run/cluster-template-name": "deploy-" + b.namespace,
		"carto.run/template-lifecycle": "mutable",
	}
	if diff := cmp.Diff(wantLabels, object.GetLabels()); diff != "" {
		b.Errorf("labels (-want +got):\n%s", diff)
	}
	if owner := metav1.GetControllerOf(object); owner == nil || owner.Kind != "Deliverable" || owner.UID != deliverable.UID {
		b.Errorf("owner %v", owner)
	}
	var conditions []string
	for _, c := range deliverable.Status.Conditions {
		conditions = append(conditions, c.Type)
	}
	if diff := cmp.Diff([]string{"DeliveryReady", "ResourcesSubmitted", "ResourcesHealthy", "Ready"}, conditions); diff != "" {
		b.Errorf("conditions (-want +got):\n%s", diff)
	}
	if ref := deliverable.Status.DeliveryRef; ref.Kind != "ClusterDelivery" || ref.Name != "delivery-"+b.namespace {
		b.Errorf("deliveryRef %v", ref)
	}
}
