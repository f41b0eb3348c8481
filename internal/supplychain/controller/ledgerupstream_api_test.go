package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// TestWhatOthersAddStays : a template edit changes what the template says, and nothing else.
func TestWhatOthersAddStays(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	object := b.get("apps/v1", "Deployment", "demo")
	object.SetLabels(with(object.GetLabels(), map[string]string{"their": "label"}))
	object.SetAnnotations(with(object.GetAnnotations(), map[string]string{"their": "annotation"}))
	object.SetFinalizers([]string{"their.dev/finalizer"})
	object.SetOwnerReferences(append(object.GetOwnerReferences(), metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "their", UID: "42"}))
	b.set(object, int64(7), "spec", "revisionHistoryLimit") // a default that someone else decides
	if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
		t.Fatal(err)
	}
	b.apply(strings.Replace(deploymentTemplate, "replicas: 1", "replicas: 3", 1))
	b.eventually("three replicas", func() bool {
		object = b.get("apps/v1", "Deployment", "demo")
		replicas, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
		return replicas == 3
	}, func() any { return b.workload("demo").Status })
	limit, _, _ := unstructured.NestedInt64(object.Object, "spec", "revisionHistoryLimit")
	strategy, _, _ := unstructured.NestedString(object.Object, "spec", "strategy", "type")
	if object.GetLabels()["their"] != "label" || object.GetAnnotations()["their"] != "annotation" || limit != 7 || strategy != "RollingUpdate" ||
		!cmp.Equal(object.GetFinalizers(), []string{"their.dev/finalizer"}) || len(object.GetOwnerReferences()) != 2 {
		t.Errorf("of what others have added something is gone: %v", object.Object)
	}
	object.SetFinalizers(nil)
	if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
		t.Fatal(err)
	}
}

const clusterRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: stamper-NS}
rules: [{apiGroups: [slipway.dev], resources: [images], verbs: [get, list, create, patch, delete]}]`

// TestClusterRoleEditHeals : cluster roles wake those they are bound to by either kind of binding, and through groups.
func TestClusterRoleEditHeals(t *testing.T) {
	for name, binding := range map[string]string{
		"in the namespace": `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: stamper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: stamper-NS}
subjects: [{kind: ServiceAccount, name: stamper, namespace: NS}]`,
		"everywhere, as a group": `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: stamper-NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: stamper-NS}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:NS"}]`,
		"everywhere, as a user": `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: stamper-NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: stamper-NS}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:serviceaccount:NS:stamper"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.run()
			for _, manifest := range []string{account, clusterRole, imageTemplate, deploymentTemplate, chainOfTwo, demo} {
				b.apply(manifest)
			}
			b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
			b.apply(binding) // a binding that comes
			b.setImage("demo", firstDigest)
			b.eventually("Deployments are forbidden", func() bool {
				c := realize.Condition(b.workload("demo").Status.Conditions, "ResourcesSubmitted")
				return c != nil && strings.Contains(c.Message, "deployments.apps")
			}, func() any { return b.workload("demo").Status })
			b.apply(strings.NewReplacer("[slipway.dev]", "[slipway.dev, apps]", "[images]", "[images, deployments]").Replace(clusterRole))
			b.condition("demo", "Ready", "True", "Ready")
		})
	}
}

// TestAccountIsMadeAnew : the tokens of an account that was deleted are void; one of its name is another one.
func TestAccountIsMadeAnew(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	b.delete(account)
	b.setImage("demo", secondDigest)
	b.condition("demo", "ResourcesSubmitted", "False", "ServiceAccountError")
	if got := len(b.workload("demo").Status.Resources); got != 2 {
		t.Errorf("the status shows %d resources while there is no account", got)
	}
	b.apply(account)
	b.image("demo", secondDigest)
	b.condition("demo", "Ready", "True", "Ready")
}

const choosyChain = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - name: map
      templateRef:
        kind: ClusterTemplate
        options:
          - {name: map-NS, selector: {matchLabels: {size: small}}}
          - {name: other-NS, selector: {matchLabels: {size: big}}}
          - {name: odd-NS, selector: {matchLabels: {odd: "yes"}, matchFields: [{key: "spec.params[4].name", operator: Exists}]}}`

// TestOptionsThatDoNotFit : the reasons are those that Cartographer documents, and what was stamped before stays.
func TestOptionsThatDoNotFit(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	labelled := func(labels string) string { return strings.Replace(demo, "labels: {", "labels: {"+labels+", ", 1) }
	b.apply(choosyChain)
	b.apply(labelled("size: small"))
	if got, want := b.condition("demo", "SupplyChainReady", "False", "TemplatesNotFound"), "did not find the template of the resource(s) [map, map, map]"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	other := strings.NewReplacer("map-NS", "other-NS", "metadata: {name: $(workload.metadata.name)$}", "metadata: {name: other}").Replace(mapTemplate)
	for _, manifest := range []string{mapTemplate, other, strings.Replace(mapTemplate, "map-NS", "odd-NS", 1)} {
		b.apply(manifest)
	}
	b.condition("demo", "Ready", "True", "Ready")
	in := "for resource [map] in supply chain [chain-" + b.namespace + "]"
	b.apply(demo)
	if got, want := b.condition("demo", "ResourcesSubmitted", "False", "TemplateOptionsMatchError"), "expected exactly 1 option to match, found [0] matching options "+in; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	b.apply(labelled(`odd: "yes"`))
	if got, want := b.condition("demo", "ResourcesSubmitted", "False", "ResolveTemplateOptionsError"), "error matching against template option [odd-"+b.namespace+"] "+in+": "; !strings.HasPrefix(got, want) {
		t.Errorf("message %q, want %q", got, want)
	}
	resource := b.workload("demo").Status.Resources[0]
	if resource.StampedRef == nil || resource.StampedRef.Name != "demo" || resource.TemplateRef == nil || resource.TemplateRef.Name != "map-"+b.namespace || b.get("v1", "ConfigMap", "demo") == nil {
		t.Errorf("what was stamped before is not shown, or gone: %+v", resource)
	}
	b.apply(labelled("size: big"))
	b.condition("demo", "Ready", "True", "Ready")
	b.eventually("the other option took its place", func() bool {
		return b.get("v1", "ConfigMap", "demo") == nil && b.get("v1", "ConfigMap", "other") != nil
	},
		func() any { return b.workload("demo").Status })
	if got := b.workload("demo").Status.Resources[0].TemplateRef.Name; got != "other-"+b.namespace {
		t.Errorf("template %s", got)
	}
}

// TestReasonsThatTheAPIServerRefuses : a reason made of a condition's type is made to fit.
func TestReasonsThatTheAPIServerRefuses(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	for _, manifest := range []string{strings.Replace(imageTemplate, "imagePath:", "healthRule: {singleConditionType: foo.io/Ready-now}\n  imagePath:", 1), chainOfOne, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.eventually("the output is there", func() bool {
		resources := b.workload("demo").Status.Resources
		return len(resources) == 1 && len(resources[0].Outputs) == 1
	}, func() any { return b.workload("demo").Status })
	health := realize.Condition(b.workload("demo").Status.Resources[0].Conditions, v1alpha1.ConditionHealthy)
	if health == nil || health.Reason != "foo_io_Ready_nowCondition" || health.Message != "condition with type [foo.io/Ready-now] not found on resource status" {
		t.Errorf("health %+v", health)
	}
}

// TestOrderIsThatOfTheInputs : a chain that names what comes first last works, and one that goes in circles says so.
func TestOrderIsThatOfTheInputs(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	reversed := chainOf(`
    - {name: deployment, images: [{resource: image, name: app}], templateRef: {kind: ClusterTemplate, name: deployment-NS}}
    - {name: image, templateRef: {kind: ClusterImageTemplate, name: image-NS}}`)
	for _, manifest := range []string{imageTemplate, deploymentTemplate, reversed, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.image("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
	var names []string
	for _, resource := range b.workload("demo").Status.Resources {
		names = append(names, resource.Name)
	}
	if diff := cmp.Diff([]string{"deployment", "image"}, names); diff != "" {
		t.Errorf("the status is not in the chain's order (-want +got):\n%s", diff)
	}
	b.apply(strings.Replace(reversed, "{name: image, ", "{name: image, images: [{resource: image, name: own}], ", 1))
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateStampFailure")
	if !strings.Contains(message, "for resource [image]") || !strings.HasSuffix(message, "the resource waits for itself through its inputs") {
		t.Errorf("message %q", message)
	}
	b.image("demo", firstDigest) // what was stamped stays
}

// TestShortNamesOfInputs : with two inputs declared, the short name is not there although one has arrived.
func TestShortNamesOfInputs(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	slow := strings.NewReplacer("image-NS", "slow-NS", "{name: $(workload.metadata.name)$}", "{name: slow}").Replace(imageTemplate)
	uses := strings.Replace(mapTemplate, `data: {kept: "1", dropped: "2"}`, "data: {image: $(image)$}", 1)
	chain := chainOf(`
    - {name: image, templateRef: {kind: ClusterImageTemplate, name: image-NS}}
    - {name: slow, templateRef: {kind: ClusterImageTemplate, name: slow-NS}}
    - {name: map, images: [{resource: image, name: a}, {resource: slow, name: b}], templateRef: {kind: ClusterTemplate, name: map-NS}}`)
	for _, manifest := range []string{imageTemplate, slow, uses, chain, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	message := ""
	b.eventually("the condition says what is waited for", func() bool {
		resources := b.workload("demo").Status.Resources
		if len(resources) != 3 || len(resources[0].Outputs) != 1 {
			return false
		}
		message = realize.Condition(resources[2].Conditions, v1alpha1.ConditionResourceSubmitted).Message
		return strings.HasSuffix(message, "jsonpath returned empty list: image (waiting for resource [slow], which provides [b])")
	}, func() any { return message })
	b.condition("demo", "ResourcesSubmitted", "Unknown", "MissingValueAtPath")
	b.apply(strings.Replace(chain, ", {resource: slow, name: b}", "", 1))
	b.data("demo", map[string]any{"image": firstDigest})
}

// TestOnlyWhatWasStampedIsHeld : of a kind that templates stamp, the other objects of the cluster are not kept in memory.
func TestOnlyWhatWasStampedIsHeld(t *testing.T) {
	b := newBench(t)
	mgr := b.manager()
	parts, err := newShared(mgr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newOwners(mgr, parts, supplyChains())
	if err := w.setup(mgr, controllerOptions(Options{SkipNameValidation: true}, 1)); err != nil {
		t.Fatal(err)
	}
	if err := (&blueprints{client: mgr.GetClient(), family: supplyChains()}).setup(mgr, controllerOptions(Options{SkipNameValidation: true}, 1)); err != nil {
		t.Fatal(err)
	}
	b.start(mgr)
	b.stamper()
	for _, manifest := range []string{mapTemplate, mapChain, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}", demo} {
		b.apply(manifest)
	}
	b.condition("demo", "Ready", "True", "Ready")
	ours := 0
	for _, informer := range w.stamped.kinds {
		for _, object := range informer.GetStore().List() {
			found, ok := object.(*unstructured.Unstructured)
			if !ok || found.GetLabels()[v1alpha1.LabelWorkloadName] == "" {
				t.Errorf("%v is held", object)
			} else if found.GetNamespace() == b.namespace {
				ours++
			}
		}
	}
	if ours != 1 {
		t.Errorf("%d objects of the test are held, want 1", ours)
	}
}

// TestSecretsInTheStatus : shown as Cartographer shows them, unless that is not wanted; the digest is there either way.
func TestSecretsInTheStatus(t *testing.T) {
	b := newBench(t)
	b.apply(account)
	b.apply(strings.Replace(role, "configmaps", "configmaps, secrets", 1))
	for _, manifest := range []string{roleBinding, demo, `
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: secret-NS}
spec:
  configPath: .data.password
  template: {apiVersion: v1, kind: Secret, metadata: {name: secret}, data: {password: aHVudGVyMg==}}`,
		chainOf("    - {name: secret, templateRef: {kind: ClusterConfigTemplate, name: secret-NS}}")} {
		b.apply(manifest)
	}
	digest := ""
	for _, c := range []struct {
		hide    bool
		preview string
	}{{false, "aHVudGVyMg==\n"}, {true, "(hidden)\n"}} {
		mgr := b.manager()
		if err := Setup(mgr, Options{SkipNameValidation: true, HideSecrets: c.hide}); err != nil {
			t.Fatal(err)
		}
		stop := b.start(mgr)
		b.eventually("the preview is "+c.preview, func() bool {
			resources := b.workload("demo").Status.Resources
			return len(resources) == 1 && len(resources[0].Outputs) == 1 && resources[0].Outputs[0].Preview == c.preview
		}, func() any { return b.workload("demo").Status })
		shown := b.workload("demo").Status.Resources[0].Outputs[0].Digest
		if !strings.HasPrefix(shown, "sha256:") || (digest != "" && shown != digest) {
			t.Errorf("digest %s, before %s", shown, digest)
		}
		digest = shown
		stop()
	}
}
