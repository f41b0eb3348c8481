package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// documentedVerbs are those that docs/security.md has in the row that begins with what.
func documentedVerbs(t *testing.T, what string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), what) {
			return strings.Split(strings.TrimSpace(cells[2]), ", ")
		}
	}
	t.Fatalf("docs/security.md has no row for %s", what)
	return nil
}

// TestVerbsOfOwners : the verbs that the page gives to the owner's account are enough for what no watch tells of, and
// each of them is needed to stamp it, to change it, or to delete it when it is not wanted any more.
func TestVerbsOfOwners(t *testing.T) {
	for lifecycle, metadata := range map[string]string{"mutable": "{name: made}", "immutable": "{generateName: made-}"} {
		verbs := documentedVerbs(t, fmt.Sprintf("what a template with `lifecycle: %s`", lifecycle))
		for _, without := range append([]string{""}, verbs...) {
			t.Run(lifecycle+" without "+without, func(t *testing.T) {
				b := newBench(t)
				granted := slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool { return verb == without })
				template := func(value string) string {
					return strings.NewReplacer("  template:\n", "  lifecycle: "+lifecycle+"\n  template:\n", "{name: made}", metadata, "{a: b}", "{a: "+value+"}").Replace(secretTemplate)
				}
				chain := strings.NewReplacer("name: image-NS", "name: secret-NS", "ClusterImageTemplate", "ClusterTemplate", "name: image", "name: secret").Replace(chainOfOne)
				empty := strings.NewReplacer("name: secret-NS", "name: nothing-NS", "kind: Secret", "kind: ServiceAccount", "    stringData: {a: b}", "    imagePullSecrets: []").Replace(secretTemplate)
				b.apply(limitedRole)
				b.apply(limitedBinding)
				b.apply(account)
				b.apply(strings.NewReplacer("verbs: [get, list, create, patch, delete]", "verbs: ["+strings.Join(granted, ", ")+"]", "configmaps]", "secrets]").Replace(role) +
					"\n  - {apiGroups: [\"\"], resources: [serviceaccounts], verbs: [get, create, patch]}")
				b.apply(roleBinding)
				b.apply(empty)
				b.runLimited()
				refused := func() bool {
					for _, resource := range b.workload("demo").Status.Resources {
						for _, condition := range resource.Conditions {
							if without != "" && strings.Contains(condition.Message, "cannot "+without+" resource \"secrets\"") {
								return true
							}
						}
					}
					return false
				}
				for _, step := range []struct {
					what      string
					manifests []string
					done      func() bool
				}{
					{"stamp", []string{template("one"), chain, demo}, func() bool { return b.secretHolds("one") }},
					{"change", []string{template("two")}, func() bool { return b.secretHolds("two") }},
					{"delete", []string{strings.ReplaceAll(chain, "name: secret-NS", "name: nothing-NS")}, func() bool {
						said := realize.Condition(b.workload("demo").Status.Conditions, v1alpha1.ConditionReady)
						return said != nil && said.Status == "True" && len(b.workload("demo").Status.Resources) == 1 && !b.secretHolds("two")
					}},
				} {
					for _, manifest := range step.manifests {
						b.apply(manifest)
					}
					b.eventually("it could "+step.what+", or was told that it may not", func() bool { return step.done() || refused() },
						func() any { return b.workload("demo").Status })
					if refused() {
						return
					}
				}
				if without != "" {
					t.Errorf("the verb %s is not needed", without)
				}
			})
		}
	}
}

// secretHolds says whether there is a stamped Secret with a value.
func (b *bench) secretHolds(value string) bool {
	b.Helper()
	secrets := &corev1.SecretList{}
	if err := b.client.List(b.Context(), secrets, client.InNamespace(b.namespace)); err != nil {
		b.Fatal(err)
	}
	return slices.ContainsFunc(secrets.Items, func(secret corev1.Secret) bool { return string(secret.Data["a"]) == value })
}
