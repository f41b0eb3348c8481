package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// chainOf is a chain of resources that are given as YAML.
func chainOf(resources string) string {
	return strings.Replace(mapChain, "    - {name: map, templateRef: {kind: ClusterTemplate, name: map-NS}}", resources, 1)
}

// stamper puts the account that stamps, and what it may do, into the test's namespace.
func (b *bench) stamper() {
	b.Helper()
	for _, manifest := range []string{account, role, roleBinding} {
		b.apply(manifest)
	}
}

// TestHugeMessagesAreCut : the API server takes 32 KiB; the beginning, which says where, stays.
func TestHugeMessagesAreCut(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	huge := strings.Repeat("huge", 12_000)
	for name, spec := range map[string]string{
		"simple": "template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: $(params." + huge + ")$}}",
		"ytt":    `ytt: "a: #@ fail(\"` + huge + `\")"`,
		"words":  "template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {a: " + huge + "}}}", // the API server's
	} {
		b.apply("apiVersion: carto.run/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: map-NS}\nspec:\n  " + spec)
		b.apply(mapChain)
		b.apply(demo)
		begin := "unable to stamp object for resource [map] for template [ClusterTemplate/map-" + b.namespace + "] in supply chain [chain-" + b.namespace + "]: "
		if name == "words" {
			begin = "unable to apply object [" + b.namespace + "/a] for resource [map] in supply chain [chain-" + b.namespace + "]: "
		}
		b.eventually(name+": the condition says so", func() bool {
			status := b.workload("demo").Status
			for _, c := range status.Conditions {
				if c.Type != v1alpha1.ConditionReady && c.Type != v1alpha1.ConditionResourcesSubmitted {
					continue
				}
				if !strings.HasPrefix(c.Message, begin) || len(c.Message) > 32768 || (name != "words" && len(c.Message) < 32760) {
					return false
				}
			}
			return len(status.Resources) == 1 && status.ObservedGeneration > 0
		}, func() any { return name })
		b.delete(demo)
	}
}

// TestLongOutputs : the status shows the first 1,024 bytes and the digest of all; the next resource gets all.
func TestLongOutputs(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stamper()
	long := strings.Repeat("größer", 500)
	b.apply(`
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: long-NS}
spec:
  configPath: .data.value
  params: [{name: long, default: ` + long + `}]
  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: long}, data: {value: $(params.long)$}}`)
	b.apply(strings.Replace(mapTemplate, `data: {kept: "1", dropped: "2"}`, "data: {all: $(config)$}", 1))
	b.apply(chainOf(`
    - {name: long, templateRef: {kind: ClusterConfigTemplate, name: long-NS}}
    - {name: map, configs: [{name: in, resource: long}], templateRef: {kind: ClusterTemplate, name: map-NS}}`))
	b.apply(demo)
	b.condition("demo", "Ready", "True", "Ready")
	b.data("demo", map[string]any{"all": long})
	output := b.workload("demo").Status.Resources[0].Outputs[0]
	sum := sha256.Sum256([]byte(long + "\n"))
	if want := "sha256:" + hex.EncodeToString(sum[:]); output.Digest != want {
		t.Errorf("digest %s, want %s", output.Digest, want)
	}
	if len(output.Preview) > 1024 || len(output.Preview) < 1022 || !strings.HasPrefix(long, output.Preview) {
		t.Errorf("a preview of %d bytes: %q", len(output.Preview), output.Preview)
	}
}

// TestLongNames has a name that no label holds wherever a label is made of one. Objects are found again by them: nothing
// is stamped twice, and what is not wanted any more goes.
func TestLongNames(t *testing.T) {
	b := newBench(t)
	stop := b.run()
	b.stamper()
	long := strings.Repeat("l", 50)
	chain := strings.NewReplacer("name: chain-NS", "name: chain-NS."+long, "map-NS", "map-NS."+long, "name: map,", `name: "A map, and more than `+long+` letters",`).Replace(mapChain)
	both := chain + "\n    - {name: \"The others / " + long + "\", templateRef: {kind: ClusterTemplate, name: many-NS." + long + "}}"
	workload := strings.Replace(demo, "name: demo", "name: demo."+long+"."+long, 1)
	for _, manifest := range []string{
		strings.Replace(mapTemplate, "map-NS", "map-NS."+long, 1), both, workload,
		strings.NewReplacer("note-NS", "many-NS."+long, "$(params.revision)$", "fixed", "generateName: note-", "generateName: many-").Replace(speclessTemplate),
	} {
		b.apply(manifest)
	}
	owner := "demo." + long + "." + long
	b.condition(owner, "Ready", "True", "Ready")
	object := b.get("v1", "ConfigMap", owner)
	for label, full := range map[string]string{
		v1alpha1.LabelWorkloadName: owner, v1alpha1.LabelSupplyChainName: "chain-" + b.namespace + "." + long,
		v1alpha1.LabelResourceName: "A map, and more than " + long + " letters", v1alpha1.LabelTemplateName: "map-" + b.namespace + "." + long,
	} {
		if got := object.GetLabels()[label]; got == "" || got == full || len(validation.IsValidLabelValue(got)) > 0 {
			t.Errorf("label %s is %q", label, got)
		}
		if got := object.GetAnnotations()[label]; got != full {
			t.Errorf("annotation %s is %q, want %q", label, got, full)
		}
	}
	if label, found := object.GetAnnotations()[v1alpha1.LabelTemplateKind]; found {
		t.Errorf("a label that holds its name has an annotation, too: %q", label)
	}
	stop()
	before := b.versions()
	stop = b.run()
	b.apply(strings.Replace(workload, "spec: {}", "spec: {params: [{name: a, value: b}]}", 1))
	b.eventually("the workload was looked at", func() bool { return b.workload(owner).Status.ObservedGeneration == 2 }, func() any { return nil })
	stop()
	after := b.versions()
	delete(before, "Workload/"+owner)
	delete(after, "Workload/"+owner)
	if len(after) != 2 || !slices.Equal(values(before), values(after)) {
		t.Errorf("stamped before %v, after %v", before, after)
	}
	b.run()
	b.apply(chain)
	b.eventually("the others are gone", func() bool { return len(b.versions()) == 2 }, func() any { return b.versions() })
	b.eventually("the status shows one", func() bool {
		resources := b.workload(owner).Status.Resources
		return len(resources) == 1 && realize.Condition(resources[0].Conditions, "Ready").Status == "True"
	}, func() any { return b.workload(owner).Status })
}

func values(of map[string]string) []string {
	var list []string
	for key, value := range of {
		list = append(list, key+" "+value)
	}
	slices.Sort(list)
	return list
}
