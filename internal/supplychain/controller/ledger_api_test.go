package controller

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// TestRoleEditHeals : a role that is edited wakes those it concerns, as its binding does when it appears.
func TestRoleEditHeals(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{account, strings.Replace(role, "[images, deployments, configmaps]", "[images]", 1), roleBinding, imageTemplate, deploymentTemplate, chainOfTwo, demo} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	// The account may not, though the controller itself runs as an administrator with a client certificate.
	for _, words := range []string{"for resource [deployment]", "deployments.apps", "is forbidden", "system:serviceaccount:" + b.namespace + ":stamper"} {
		if !strings.Contains(message, words) {
			t.Errorf("message %q, want %q in it", message, words)
		}
	}
	b.apply(role)
	b.image("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
}

// realizations counts how often owners were realised.
func realizations(t *testing.T, metrics *prometheus.Registry) (count uint64) {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "slipway_realize_duration_seconds" || family.GetType() != dto.MetricType_HISTOGRAM {
			continue
		}
		for _, metric := range family.GetMetric() {
			count += metric.GetHistogram().GetSampleCount()
		}
	}
	return count
}

// settled waits until nothing is realised any more, and returns how often something was.
func (b *bench) settled(metrics *prometheus.Registry) uint64 {
	b.Helper()
	last, same := uint64(0), 0
	b.eventually("nothing is realised any more", func() bool {
		now := realizations(b.T, metrics)
		if now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same > 50
	}, func() any { return last })
	return last
}

// TestOthersRolesWakeNobody : accounts, roles, bindings and templates that do not concern an owner do not wake it.
func TestOthersRolesWakeNobody(t *testing.T) {
	b := newBench(t)
	metrics := prometheus.NewRegistry()
	mgr := b.manager(b.namespace) // what other tests have left would be counted, too
	if err := Setup(mgr, Options{SkipNameValidation: true, Metrics: metrics}); err != nil {
		t.Fatal(err)
	}
	b.start(mgr)
	b.ready()
	before := b.settled(metrics)
	others := strings.NewReplacer("name: stamper", "name: other", "name: image-NS", "name: other-NS")
	edited := strings.Replace(role, "[images, deployments, configmaps]", "[images]", 1)
	for _, manifest := range []string{account, role, roleBinding, edited, clusterRole, imageTemplate, strings.Replace(imageTemplate, "default: localhost", "default: example", 1)} {
		b.apply(others.Replace(manifest))
	}
	b.delete(others.Replace(account))
	b.delete(others.Replace(roleBinding))
	if after := b.settled(metrics); after != before {
		t.Errorf("what concerns nobody led to %d realisations", after-before)
	}
	for what, manifest := range map[string]string{"role": strings.Replace(role, "[images, deployments, configmaps]", "[images, deployments, configmaps, secrets]", 1),
		"template": strings.Replace(imageTemplate, "params:", "params:\n    - {name: unused, default: x}", 1)} {
		before := b.settled(metrics)
		b.apply(manifest)
		b.eventually("its own "+what+" wakes it", func() bool { return realizations(t, metrics) > before }, func() any { return before })
	}
}

// TestChainEditWakesOnlyWhomItConcerns counts realisations while chains come, change and go.
func TestChainEditWakesOnlyWhomItConcerns(t *testing.T) {
	b := newBench(t)
	metrics := prometheus.NewRegistry()
	mgr := b.manager(b.namespace) // what other tests have left would be counted, too
	if err := Setup(mgr, Options{SkipNameValidation: true, Metrics: metrics}); err != nil {
		t.Fatal(err)
	}
	b.start(mgr)
	b.ready()
	settled := func() uint64 { return b.settled(metrics) }
	before := settled()
	if before == 0 {
		t.Fatal("nothing was counted")
	}
	other := strings.NewReplacer("name: chain-NS", "name: other-NS", "{chain: NS}", "{chain: none}").Replace(chainOfTwo)
	judged := func(generation int64) {
		b.eventually("the other chain is judged", func() bool {
			chain := &v1alpha1.ClusterSupplyChain{}
			err := b.client.Get(b.Context(), client.ObjectKey{Name: "other-" + b.namespace}, chain)
			return err == nil && chain.Status.ObservedGeneration == generation
		}, func() any { return nil })
	}
	b.apply(other)
	judged(1)
	b.apply(strings.Replace(other, "  resources:", "  params: [{name: a, default: b}]\n  resources:", 1))
	judged(2)
	b.delete(other)
	if after := settled(); after != before {
		t.Errorf("a chain that fits nobody led to %d realisations", after-before)
	}
	b.apply(strings.Replace(chainOfTwo, "  resources:", "  params: [{name: a, default: b}]\n  resources:", 1))
	b.eventually("its own chain wakes it", func() bool { return realizations(t, metrics) > before }, func() any { return before })
	// One that begins to fit concerns it, too.
	before = settled()
	b.apply(strings.Replace(other, "{chain: none}", "{chain: NS}", 1))
	b.condition("demo", "SupplyChainReady", "False", "MultipleSupplyChainMatches")
}

// TestWhichAccount : the workload's own account comes first, then the chain's, then default.
func TestWhichAccount(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{imageTemplate, chainOfOne, demo} {
		b.apply(manifest)
	}
	missing := func(name string) {
		b.Helper()
		b.eventually("account "+name+" is missed", func() bool {
			c := realize.Condition(b.workload("demo").Status.Conditions, "ResourcesSubmitted")
			return c != nil && c.Reason == "ServiceAccountError" && strings.Contains(c.Message, "["+name+"]")
		}, func() any { return b.workload("demo").Status })
	}
	missing(b.namespace + "/stamper")
	b.apply(strings.Replace(chainOfOne, "{name: stamper}", "{name: stamper, namespace: elsewhere-NS}", 1))
	missing("elsewhere-" + b.namespace + "/stamper")
	b.apply(strings.Replace(demo, "spec: {}", "spec: {serviceAccountName: mine}", 1))
	missing(b.namespace + "/mine")
	b.apply(strings.NewReplacer("name: stamper", "name: mine").Replace(account))
	b.apply(role)
	b.apply(strings.ReplaceAll(roleBinding, "ServiceAccount, name: stamper", "ServiceAccount, name: mine"))
	b.setImage("demo", firstDigest)
	b.condition("demo", "Ready", "True", "Ready")
}

// TestParamsOfTheWrongType : the API server's words are the condition's, with the resource and the object; another value
// heals it.
func TestParamsOfTheWrongType(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	typed := strings.NewReplacer("replicas: 1", "replicas: $(params.replicas)$", "spec:\n  template:", "spec:\n  params: [{name: replicas, default: 1}]\n  template:").Replace(deploymentTemplate)
	b.apply(typed)
	b.apply(strings.Replace(demo, "spec: {}", "spec: {params: [{name: replicas, value: many}]}", 1))
	message := b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	for _, words := range []string{"unable to apply object [" + b.namespace + "/demo] for resource [deployment] in supply chain [chain-" + b.namespace + "]", "replicas"} {
		if !strings.Contains(message, words) {
			t.Errorf("message %q, want %q in it", message, words)
		}
	}
	b.apply(strings.Replace(demo, "spec: {}", "spec: {params: [{name: replicas, value: {a: b}}]}", 1))
	b.condition("demo", "ResourcesSubmitted", "False", "TemplateRejectedByAPIServer")
	b.apply(strings.Replace(demo, "spec: {}", "spec: {params: [{name: replicas, value: 2}]}", 1))
	b.eventually("two replicas", func() bool {
		replicas, _, _ := unstructured.NestedInt64(b.get("apps/v1", "Deployment", "demo").Object, "spec", "replicas")
		return replicas == 2
	}, func() any { return b.workload("demo").Status })
	b.condition("demo", "Ready", "True", "Ready")
}

// TestTemplatesThatRenderNonsense : the condition names the resource, the template and the path; the others go on.
func TestTemplatesThatRenderNonsense(t *testing.T) {
	b := newBench(t)
	b.run()
	b.ready()
	for spec, want := range map[string]string{
		"template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}":            "cannot set namespace in resource template",
		"template: {apiVersion: v1, kind: ConfigMap, metadata: {name: \"$(workload.spec.source.git.url)$\"}}": "failed to interpolate template at path [metadata.name]: evaluate tag $(workload.spec.source.git.url)$",
		"template: {apiVersion: v1, kind: ConfigMap, metadata: \"$(workload.metadata.name)$\"}":               "metadata must be an object",
		"ytt: \"#@ for x in range(3):\\nkind: a\\n#@ end\"":                                                   "unable to apply ytt template",
		"template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: \"$(params.none)$\"}}":    "failed to interpolate template at path [data.a]: evaluate tag $(params.none)$",
		"template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: [\"x\", \"$(image.\"]}}":  "",
	} {
		b.apply("apiVersion: carto.run/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: nonsense-NS}\nspec:\n  " + spec)
		b.apply(chainOfTwo + "\n    - name: nonsense\n      templateRef: {kind: ClusterTemplate, name: nonsense-NS}")
		b.eventually(spec, func() bool {
			c := realize.Condition(b.workload("demo").Status.Conditions, "ResourcesSubmitted")
			if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "[nonsense]") || !strings.Contains(c.Message, want) {
				return false
			}
			return want == "" || c.Reason == "TemplateStampFailure" && strings.Contains(c.Message, "[ClusterTemplate/nonsense-"+b.namespace+"]")
		}, func() any { return b.workload("demo").Status })
		for _, resource := range b.workload("demo").Status.Resources[:2] {
			if c := realize.Condition(resource.Conditions, "Ready"); c == nil || c.Status != metav1.ConditionTrue {
				t.Errorf("%s: resource %s is %v", spec, resource.Name, c)
			}
		}
	}
}

// TestRunOutputsThatAreNotThere : a path that leads nowhere on a run that succeeded, and one that does after an edit.
func TestRunOutputsThatAreNotThere(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, manifest := range []string{runnerAccount, runnerRole, strings.Replace(runTemplate, "phase: .status.phase", "phase: .status.nothing", 1), runnable} {
		b.apply(manifest)
	}
	b.ends(b.newestRun("demo", "one"), metav1.ConditionTrue, "fine")
	message := b.runCondition("demo", v1alpha1.ConditionRunTemplateReady, "False", v1alpha1.ReasonOutputPathNotSatisfied)
	for _, words := range []string{"waiting to read value from resource [pods/demo-", "] in namespace [" + b.namespace + "]: unable to retrieve outputs from stamped object [" + b.namespace + "/demo-",
		"] of type [pods] for run template [run-" + b.namespace + "]: failed to evaluate path [.status.nothing]: "} {
		if !strings.Contains(message, words) {
			t.Errorf("message %q, want %q in it", message, words)
		}
	}
	b.apply(runTemplate)
	b.outputs("demo", map[string]string{"phase": `"Succeeded"`, "node": `"one"`})
	b.runCondition("demo", v1alpha1.ConditionReady, "True", v1alpha1.ReasonReady)
}
