package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// said is an object's conditions as text.
func said(conditions []metav1.Condition) []string {
	var all []string
	for _, c := range conditions {
		all = append(all, c.Type+"="+string(c.Status)+" "+c.Reason+" "+c.Message)
	}
	return all
}

// TestStatusOfADelivery : what the status of a delivery and of its deliverable says, and that it is written once.
func TestStatusOfADelivery(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	for _, manifest := range []string{delivery, shipped, sourceTemplate} {
		b.apply(manifest)
	}
	judged := func(want ...string) *v1alpha1.ClusterDelivery {
		b.Helper()
		found := &v1alpha1.ClusterDelivery{}
		b.eventually("the delivery is judged", func() bool {
			if err := b.client.Get(b.Context(), client.ObjectKey{Name: "delivery-" + b.namespace}, found); err != nil {
				b.Fatal(err)
			}
			return cmp.Equal(said(found.Status.Conditions), want) && found.Status.ObservedGeneration == found.Generation
		}, func() any { return found.Status })
		return found
	}
	missing := "did not find the template of the resource(s) [deploy, after]"
	judged("TemplatesReady=False TemplatesNotFound "+missing, "Ready=False TemplatesNotFound "+missing)
	if got := b.delivered("DeliveryReady", "False", "TemplatesNotFound"); got != missing {
		t.Errorf("message %q, want %q", got, missing)
	}
	b.apply(deployTemplate)
	b.apply(afterTemplate)
	before := judged("TemplatesReady=True Ready ", "Ready=True Ready ")
	b.delivered("ResourcesSubmitted", "False", "TemplateStampFailure")
	deliverable := b.deliverable("demo")
	wait := "resource [deploy] cannot satisfy observedCompletion without observedGeneration in object status"
	if diff := cmp.Diff([]string{"DeliveryReady=True Ready ", "ResourcesSubmitted=False TemplateStampFailure " + wait, "ResourcesHealthy=Unknown HealthyConditionRule ", "Ready=False TemplateStampFailure " + wait},
		said(deliverable.Status.Conditions)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	resources := deliverable.Status.Resources
	if diff := cmp.Diff([]string{"ResourceSubmitted=False TemplateStampFailure " + wait, "Healthy=Unknown OutputNotAvailable ", "Ready=False TemplateStampFailure " + wait}, said(resources[1].Conditions)); diff != "" {
		t.Errorf("conditions of the deployment (-want +got):\n%s", diff)
	}
	b.available("True", "Fine", 0)
	b.delivered("Ready", "True", "Ready")
	resources = b.deliverable("demo").Status.Resources
	var outputs []string
	for _, output := range append(resources[0].Outputs, resources[1].Outputs...) {
		outputs = append(outputs, output.Name+" "+output.Preview)
	}
	if diff := cmp.Diff([]string{"url registry/config\n", "revision v1\n", "url registry/config\n", "revision v1\n"}, outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]v1alpha1.Input{{Name: "source"}}, resources[1].Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	// A template that changes is no news of the delivery; one that goes is.
	b.apply(strings.Replace(afterTemplate, "-after}", "-later}", 1))
	b.eventually("the other name is stamped", func() bool {
		return b.get("v1", "ConfigMap", "demo-later") != nil && b.get("v1", "ConfigMap", "demo-after") == nil
	},
		func() any { return b.deliverable("demo").Status })
	if after := judged("TemplatesReady=True Ready ", "Ready=True Ready "); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the delivery was written: %s, before %s", after.ResourceVersion, before.ResourceVersion)
	}
	b.delete(afterTemplate)
	missing = "did not find the template of the resource(s) [after]"
	judged("TemplatesReady=False TemplatesNotFound "+missing, "Ready=False TemplatesNotFound "+missing)
	b.delivered("DeliveryReady", "False", "TemplatesNotFound")
	if b.get("v1", "ConfigMap", "demo-later") == nil {
		t.Error("what was stamped is gone while a template is missing")
	}
}

// TestDeploymentOfObjects : observedMatches may compare objects and lists.
func TestDeploymentOfObjects(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	matches := deployTemplate[:strings.Index(deployTemplate, "  observedCompletion")] + "  observedMatches: [{input: spec.template.spec.containers, output: spec.template.spec.containers}, {input: spec.selector, output: spec.template.metadata.labels}]\n" +
		deployTemplate[strings.Index(deployTemplate, "  template:\n    apiVersion: apps"):]
	for _, manifest := range []string{sourceTemplate, matches, afterTemplate, delivery, shipped} {
		b.apply(manifest)
	}
	want := "resource [deploy] condition not met: input [spec.selector] and output [spec.template.metadata.labels] do not match: map[matchLabels:map[app:demo]] != map[app:demo]"
	if got := b.delivered("ResourcesSubmitted", "Unknown", "ConditionNotMet"); got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	b.apply(strings.Replace(matches, "{input: spec.selector, ", "{input: spec.selector.matchLabels, ", 1))
	b.delivered("Ready", "True", "Ready")
}

// TestChainThatNobodyHasLookedAt : the API server takes what the workload says meanwhile.
func TestChainThatNobodyHasLookedAt(t *testing.T) {
	b := newBench(t)
	b.stamper()
	for _, manifest := range []string{mapTemplate, mapChain, demo} {
		b.apply(manifest)
	}
	mgr := b.manager()
	parts, err := newShared(mgr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := newOwners(mgr, parts, supplyChains()).setup(mgr, controllerOptions(Options{SkipNameValidation: true}, 1)); err != nil {
		t.Fatal(err)
	}
	stop := b.start(mgr)
	if got, want := b.condition("demo", "SupplyChainReady", "Unknown", "Unknown"), "supply chain not yet reconciled"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	stop()
	b.run()
	b.condition("demo", "Ready", "True", "Ready")
}

// TestSupplyChainRef : it names the chain, and goes with all that the chain has stamped.
func TestSupplyChainRef(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	if ref := b.workload("demo").Status.SupplyChainRef; ref != (v1alpha1.ObjectReference{Kind: "ClusterSupplyChain", Name: "chain-" + b.namespace}) {
		t.Errorf("supplyChainRef %+v", ref)
	}
	b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
	b.condition("demo", "SupplyChainReady", "False", "SupplyChainNotFound")
	b.eventually("it is empty", func() bool {
		status := b.workload("demo").Status
		return status.SupplyChainRef == v1alpha1.ObjectReference{} && len(status.Resources) == 0
	}, func() any { return b.workload("demo").Status })
	b.apply(strings.Replace(demo, "  labels: {chain: NS}\n", "  labels: {}\n", 1))
	if got, want := b.condition("demo", "SupplyChainReady", "False", "WorkloadLabelsMissing"), "workload has no labels to match to supply chain"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

const yttImage = `
apiVersion: carto.run/v1alpha1
kind: ClusterImageTemplate
metadata: {name: image-NS}
spec:
  imagePath: .status.latestImage
  ytt: |
    #@ load("@ytt:data", "data")
    apiVersion: slipway.dev/v1alpha1
    kind: Image
    metadata:
      name: #@ data.values.workload.metadata.name
    spec:
      image: #@ "localhost:5000/apps/" + data.values.workload.metadata.name`

const yttMap = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: deployment-NS}
spec:
  params: [{name: settings, default: {b: 2, a: [1, 2.5]}}]
  ytt: |
    #@ load("@ytt:data", "data")
    #@ load("@ytt:json", "json")
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: #@ data.values.workload.metadata.name
    data:
      image: #@ data.values.images.app.image
      settings: #@ json.encode(data.values.params.settings)
      chain: #@ data.values.labels["carto.run/supply-chain-name"]
      #@ for name in data.values.workload.metadata.labels:
      #@yaml/text-templated-strings
      label-(@= name @): #@ data.values.workload.metadata.labels[name]
      #@ end`

// TestYttChain : from workload to object with templates in ytt; once it is there nothing is written any more.
func TestYttChain(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	b.stamper()
	for _, manifest := range []string{yttImage, yttMap, chainOfTwo, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
	want := map[string]any{"image": firstDigest, "settings": `{"a":[1,2.5],"b":2}`, "chain": "chain-" + b.namespace, "label-chain": b.namespace}
	b.data("demo", want)
	stop()
	b.changesNothing(supplyChains)
	b.run()
	b.setImage("demo", secondDigest)
	want["image"] = secondDigest
	b.data("demo", want)
	b.apply(strings.Replace(yttMap, "data.values.images.app.image", "data.values.images.nobody.image", 1))
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateStampFailure")
	begin := "unable to stamp object for resource [deployment] for template [ClusterTemplate/deployment-" + b.namespace + "] in supply chain [chain-" + b.namespace +
		"]: unable to apply ytt template: ytt: Error: \n- struct has no .nobody field or method\n    in <toplevel>\n      stdin.yml:"
	if !strings.HasPrefix(message, begin) || !strings.HasSuffix(message, "data.values.images.nobody.image\n") {
		t.Errorf("message %q", message)
	}
}

// TestBlueprintsAreNotWrittenAgain : looking at a chain or a delivery another time writes nothing.
func TestBlueprintsAreNotWrittenAgain(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	for _, manifest := range []string{mapTemplate, mapChain, delivery} { // the delivery lacks its templates
		b.apply(manifest)
	}
	names := map[string]*family{"chain-" + b.namespace: supplyChains(), "delivery-" + b.namespace: deliveries()}
	version := func(of *family, name string) string {
		object := of.newBlueprint()
		if err := b.client.Get(b.Context(), client.ObjectKey{Name: name}, object); err != nil {
			t.Fatal(err)
		}
		if *blueprintOf(object).observed == 0 {
			return ""
		}
		return object.GetResourceVersion()
	}
	before := map[string]string{}
	for name, of := range names {
		b.eventually(name+" is judged", func() bool { before[name] = version(of, name); return before[name] != "" }, func() any { return name })
	}
	stop()
	for name, of := range names {
		c := &blueprints{client: b.client, family: of}
		for range 2 {
			if result, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: name}}); err != nil || !result.IsZero() {
				t.Errorf("%s: %v, %v", name, result, err)
			}
		}
		if after := version(of, name); after != before[name] {
			t.Errorf("%s was written", name)
		}
	}
}

// told returns what events tell of a thing of the test's namespace.
func (b *bench) told(kind string) map[string]bool {
	b.Helper()
	var list eventsv1.EventList
	if err := b.client.List(b.Context(), &list, client.InNamespace(b.namespace)); err != nil {
		b.Fatal(err)
	}
	all := map[string]bool{}
	for _, event := range list.Items {
		if event.Regarding.Kind == kind && event.Regarding.Name == "demo" && event.Type == "Normal" {
			all[event.Reason+" "+event.Note] = true
		}
	}
	return all
}

// TestEvents : what owners are told, to the letter.
func TestEvents(t *testing.T) {
	b := newBench(t)
	b.run()
	ruled := strings.Replace(imageTemplate, "imagePath:", "healthRule: {singleConditionType: Ready}\n  imagePath:", 1)
	scan := strings.Replace(demo, "labels: {", `labels: {scan: "yes", `, 1)
	b.stamper()
	for _, manifest := range []string{ruled, scanTemplate, deploymentTemplate, optionalChain, scan} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.image("demo", "scanned/"+firstDigest)
	want := map[string]bool{}
	tells := func(what string, more ...string) {
		b.Helper()
		for _, event := range more {
			want[event] = true
		}
		b.eventually("what is told when "+what, func() bool { return cmp.Equal(b.told("Workload"), want) }, func() any { return cmp.Diff(want, b.told("Workload")) })
	}
	tells("all is stamped", "StampedObjectApplied Created object [images.slipway.dev/demo]", "StampedObjectApplied Created object [configmaps/scan]", "StampedObjectApplied Created object [deployments.apps/demo]",
		"ResourceOutputChanged [image] found a new output in [images.slipway.dev/demo]", "ResourceOutputChanged [scanned] found a new output in [configmaps/scan]",
		"ResourceHealthyStatusChanged [scanned] found healthy status in [configmaps/scan] changed to [True]",
		"ResourceHealthyStatusChanged [deployment] found healthy status in [deployments.apps/demo] changed to [True]")
	b.setImageStatus(map[string]any{"latestImage": firstDigest, "conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "Broken", "message": "no", "lastTransitionTime": "2026-01-01T00:00:00Z"}}})
	tells("the image is not healthy", "ResourceHealthyStatusChanged [image] found healthy status in [images.slipway.dev/demo] changed to [False]")
	b.apply(demo)
	tells("the scan is left out", "ResourceOutputChanged [scanned] passed through a new output", "StampedObjectApplied Patched object [deployments.apps/demo]", "StampedObjectRemoved Deleted object [configmaps/scan]")
}

// setImageStatus plays the controller of Images.
func (b *bench) setImageStatus(status map[string]any) {
	b.Helper()
	object := b.get("slipway.dev/v1alpha1", "Image", "demo")
	object.Object["status"] = status
	if err := b.client.Status().Update(b.Context(), object); err != nil {
		b.Fatal(err)
	}
}

// TestDriftOfWhatHasNoSpec : what has no spec is put right, too, and written no more than that.
func TestDriftOfWhatHasNoSpec(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	for _, manifest := range []string{mapTemplate, mapChain, demo} {
		b.apply(manifest)
	}
	b.condition("demo", "Ready", "True", "Ready")
	b.data("demo", map[string]any{"kept": "1", "dropped": "2"})
	object := b.get("v1", "ConfigMap", "demo")
	object.Object["data"] = map[string]any{"kept": "changed", "added": "3"}
	if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
		t.Fatal(err)
	}
	b.data("demo", map[string]any{"kept": "1", "dropped": "2", "added": "3"})
	labels := unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	labels.SetName("demo")
	labels.SetNamespace(b.namespace)
	if err := b.client.Patch(t.Context(), &labels, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":null}}`))); err != nil {
		t.Fatal(err)
	}
	b.eventually("its labels are back", func() bool {
		return realize.Condition(b.workload("demo").Status.Conditions, "Ready").Status == "True" && b.get("v1", "ConfigMap", "demo").GetLabels()[v1alpha1.LabelWorkloadName] == "demo"
	}, func() any { return b.workload("demo").Status })
}
