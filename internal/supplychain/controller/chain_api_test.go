package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

const imageTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterImageTemplate
metadata: {name: image-NS}
spec:
  imagePath: .status.latestImage
  params:
    - {name: prefix, default: localhost:5000/apps/}
  template:
    apiVersion: slipway.dev/v1alpha1
    kind: Image
    metadata: {name: $(workload.metadata.name)$}
    spec: {image: $(params.prefix)$$(workload.metadata.name)$}`

const deploymentTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: deployment-NS}
spec:
  template:
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: $(workload.metadata.name)$
    spec:
      replicas: 1
      selector: {matchLabels: {app: $(workload.metadata.name)$}}
      template:
        metadata: {labels: {app: $(workload.metadata.name)$}}
        spec:
          containers:
            - name: workload
              image: $(images.app.image)$
              env: $(workload.spec.env)$
              resources: {requests: {cpu: 1000m}}`

const chainOfTwo = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - name: image
      templateRef: {kind: ClusterImageTemplate, name: image-NS}
    - name: deployment
      templateRef: {kind: ClusterTemplate, name: deployment-NS}
      images: [{resource: image, name: app}]`

const chainOfOne = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - name: image
      templateRef: {kind: ClusterImageTemplate, name: image-NS}`

const account = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: stamper}`

const role = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: stamper}
rules:
  - apiGroups: [slipway.dev, apps, ""]
    resources: [images, deployments, configmaps]
    verbs: [get, list, create, patch, delete]`

const roleBinding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: stamper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: stamper}
subjects: [{kind: ServiceAccount, name: stamper, namespace: NS}]`

const demo = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: demo
  labels: {chain: NS}
spec: {}`

const firstDigest, secondDigest = "localhost:5000/apps/demo@sha256:1111", "localhost:5000/apps/demo@sha256:2222"

func TestTwoResourcesFromWorkloadToDeployment(t *testing.T) {
	b := newBench(t)
	b.run()
	b.apply(demo)
	message := b.condition("demo", "SupplyChainReady", "False", "SupplyChainNotFound")
	if want := "no supply chain found where full selector is satisfied by labels: map[chain:" + b.namespace + "]"; message != want {
		t.Errorf("message %q, want %q", message, want)
	}

	b.apply(chainOfTwo)
	message = b.condition("demo", "SupplyChainReady", "False", "TemplatesNotFound")
	if want := "did not find the template of the resource(s) [image, deployment]"; message != want {
		t.Errorf("message %q, want %q", message, want)
	}

	b.apply(imageTemplate)
	b.apply(deploymentTemplate)
	b.condition("demo", "SupplyChainReady", "True", "Ready")
	b.condition("demo", "ResourcesSubmitted", "False", "ServiceAccountError")

	b.apply(account)
	message = b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	if !strings.Contains(message, "unable to apply object ["+b.namespace+"/demo] for resource [image] in supply chain [chain-"+b.namespace+"]") {
		t.Errorf("message %q", message)
	}

	b.apply(role)
	b.apply(roleBinding)
	message = b.condition("demo", "ResourcesSubmitted", "Unknown", "MissingValueAtPath")
	if want := "waiting to read value [.status.latestImage] from object [images.slipway.dev/demo] in namespace [" + b.namespace + "]"; message != want {
		t.Errorf("message %q, want %q", message, want)
	}

	b.setImage("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
	b.image("demo", firstDigest)
	b.setImage("demo", secondDigest)
	b.image("demo", secondDigest)
	b.checkStamped()
}

// image waits until the Deployment runs an image.
func (b *bench) image(deployment, want string) {
	b.Helper()
	b.eventually("the Deployment runs "+want, func() bool {
		object := b.get("apps/v1", "Deployment", deployment)
		if object == nil {
			return false
		}
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		return len(containers) == 1 && containers[0].(map[string]any)["image"] == want
	}, func() any { return b.workload("demo").Status })
}

func (b *bench) checkStamped() {
	b.Helper()
	object := b.get("apps/v1", "Deployment", "demo")
	workload := b.workload("demo")
	wantLabels := map[string]string{
		"carto.run/workload-name": "demo", "carto.run/workload-namespace": b.namespace,
		"carto.run/supply-chain-name": "chain-" + b.namespace, "carto.run/resource-name": "deployment",
		"carto.run/template-kind": "ClusterTemplate", "carto.run/cluster-template-name": "deployment-" + b.namespace,
		"carto.run/template-lifecycle": "mutable",
	}
	if diff := cmp.Diff(wantLabels, object.GetLabels()); diff != "" {
		b.Errorf("labels (-want +got):\n%s", diff)
	}
	yes := true
	wantOwners := []metav1.OwnerReference{{APIVersion: "carto.run/v1alpha1", Kind: "Workload", Name: "demo", UID: workload.UID, Controller: &yes, BlockOwnerDeletion: &yes}}
	if diff := cmp.Diff(wantOwners, object.GetOwnerReferences()); diff != "" {
		b.Errorf("owners (-want +got):\n%s", diff)
	}
	b.eventually("the status shows the output", func() bool {
		resources := b.workload("demo").Status.Resources
		return len(resources) == 2 && len(resources[0].Outputs) == 1 && resources[0].Outputs[0].Preview == secondDigest+"\n" &&
			resources[1].StampedRef != nil && resources[1].StampedRef.Resource == "deployments.apps" &&
			cmp.Equal(resources[1].Inputs, []v1alpha1.Input{{Name: "image"}})
	}, func() any { return b.workload("demo").Status })
	b.eventually("events tell of it", func() bool {
		var events corev1.EventList
		if err := b.client.List(b.Context(), &events, client.InNamespace(b.namespace)); err != nil {
			b.Fatal(err)
		}
		for _, event := range events.Items {
			if event.Reason == "StampedObjectApplied" && event.Message == "Created object [deployments.apps/demo]" {
				return true
			}
		}
		return false
	}, func() any { return nil })
}

// ready makes a workload that is Ready with a chain of two.
func (b *bench) ready() {
	b.Helper()
	for _, manifest := range []string{account, role, roleBinding, imageTemplate, deploymentTemplate, chainOfTwo, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
	b.image("demo", firstDigest)
}

func TestRestartGoesOn(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	b.ready()
	stop()
	b.run()
	b.setImage("demo", secondDigest)
	b.image("demo", secondDigest)
	if got, want := b.get("apps/v1", "Deployment", "demo").GetGeneration(), int64(2); got != want {
		t.Errorf("the Deployment was changed to generation %d, want %d", got, want)
	}
	if image := b.get("slipway.dev/v1alpha1", "Image", "demo"); image.GetGeneration() != 1 {
		t.Errorf("the Image was changed by the restart: generation %d", image.GetGeneration())
	}
}

func TestTemplateEditChangesStampedObjects(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	b.apply(strings.Replace(deploymentTemplate, "replicas: 1", "replicas: 3", 1))
	b.eventually("three replicas", func() bool {
		replicas, _, _ := unstructured.NestedInt64(b.get("apps/v1", "Deployment", "demo").Object, "spec", "replicas")
		return replicas == 3
	}, func() any { return b.workload("demo").Status })
}

func TestDriftIsPutRightAndOthersFieldsStay(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	b.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: demo, annotations: {someone: else}}
spec: {replicas: 5}`)
	b.eventually("one replica again", func() bool {
		object := b.get("apps/v1", "Deployment", "demo")
		replicas, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
		return replicas == 1 && object.GetAnnotations()["someone"] == "else"
	}, func() any { return b.get("apps/v1", "Deployment", "demo") })
}

func TestDeletedObjectIsStampedAgain(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	before := b.get("apps/v1", "Deployment", "demo").GetUID()
	b.delete("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: demo}")
	b.eventually("another Deployment", func() bool {
		object := b.get("apps/v1", "Deployment", "demo")
		return object != nil && object.GetUID() != before
	}, func() any { return b.workload("demo").Status })
}

func TestForeignObjectIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.run()
	b.apply(`
apiVersion: slipway.dev/v1alpha1
kind: Image
metadata:
  name: demo
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: someone, uid: 3c8e3e47-3e0d-4c3e-8f4c-0f5b9b1b1b1b, controller: true}]
spec: {image: theirs}`)
	for _, manifest := range []string{account, role, roleBinding, imageTemplate, chainOfOne, demo} {
		b.apply(manifest)
	}
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	if !strings.Contains(message, "controlled by ConfigMap [someone]") {
		t.Errorf("message %q", message)
	}
	image, _, _ := unstructured.NestedString(b.get("slipway.dev/v1alpha1", "Image", "demo").Object, "spec", "image")
	if image != "theirs" {
		t.Errorf("the foreign Image was changed to %q", image)
	}
}

// TestTwoOwnersOfOneName : the object stays the first one's, and becomes the second one's when the first lets go of it.
func TestTwoOwnersOfOneName(t *testing.T) {
	b := newBench(t)
	b.run()
	shared := strings.Replace(mapTemplate, "{name: $(workload.metadata.name)$}", "{name: shared}", 1)
	for _, manifest := range []string{account, role, roleBinding, shared, mapChain, demo} {
		b.apply(manifest)
	}
	b.condition("demo", "Ready", "True", "Ready")
	b.apply(strings.Replace(demo, "name: demo", "name: second", 1))
	message := b.condition("second", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	want := "unable to apply object [" + b.namespace + "/shared] for resource [map] in supply chain [chain-" + b.namespace +
		"]: ConfigMap [shared] exists and is controlled by Workload [demo] (uid " + string(b.workload("demo").UID) + "), not by this workload: it is left as it is"
	if message != want {
		t.Errorf("message %q, want %q", message, want)
	}
	b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
	b.condition("second", "Ready", "True", "Ready")
	if got := b.get("v1", "ConfigMap", "shared").GetLabels()[v1alpha1.LabelWorkloadName]; got != "second" {
		t.Errorf("the object is that of %s", got)
	}
}

func TestObjectsThatBreakTheRules(t *testing.T) {
	b := newBench(t)
	b.run()
	b.apply(`
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: bad-NS}
spec:
  selectorMatchExpressions: [{key: chain, operator: Nonsense}]
  resources: []`)
	b.apply(`
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: empty-NS}
spec:
  resources:
    - {name: a, templateRef: {kind: ClusterTemplate}}
  params: [{name: neither}]`)
	b.eventually("the bad chain says so", func() bool {
		chain := &v1alpha1.ClusterSupplyChain{}
		if err := b.client.Get(b.Context(), client.ObjectKey{Name: "bad-" + b.namespace}, chain); err != nil {
			b.Fatal(err)
		}
		c := realize.Condition(chain.Status.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonSelectorInvalid
	}, func() any { return nil })
	b.ready() // neither spoils the others
	b.apply(strings.Replace(chainOfTwo, "  resources:", "  params: [{name: neither}]\n  resources:", 1))
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateStampFailure")
	if !strings.Contains(message, "must set exactly one of value and default") {
		t.Errorf("message %q", message)
	}
}
