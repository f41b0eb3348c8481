package controller

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

func TestOrphansAreDeleted(t *testing.T) {
	noDeployment := func(b *bench) {
		b.Helper()
		b.eventually("the Deployment is gone", func() bool { return b.get("apps/v1", "Deployment", "demo") == nil },
			func() any { return b.workload("demo").Status })
	}
	t.Run("resource leaves the chain", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(chainOfOne)
		noDeployment(b)
		b.eventually("one resource", func() bool { return len(b.workload("demo").Status.Resources) == 1 }, func() any { return b.workload("demo").Status })
		if b.get("slipway.dev/v1alpha1", "Image", "demo") == nil {
			t.Error("the Image is gone too")
		}
	})
	t.Run("chain is deleted while nobody looks", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		b.ready()
		stop()
		b.delete(chainOfTwo)
		b.run()
		noDeployment(b)
		b.condition("demo", "Ready", "False", "SupplyChainNotFound")
		b.eventually("nothing is left", func() bool {
			return b.get("slipway.dev/v1alpha1", "Image", "demo") == nil && len(b.workload("demo").Status.Resources) == 0
		}, func() any { return b.workload("demo").Status })
	})
	t.Run("workload stops matching", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
		noDeployment(b)
	})
	t.Run("not before the account may", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(strings.Replace(role, ", delete", "", 1))
		b.apply(chainOfOne)
		b.eventually("the orphan stays visible", func() bool {
			resources := b.workload("demo").Status.Resources
			if len(resources) != 2 || resources[1].Name != "deployment" {
				return false
			}
			c := realize.Condition(resources[1].Conditions, v1alpha1.ConditionResourceSubmitted)
			return c != nil && c.Reason == v1alpha1.ReasonOrphanNotDeleted
		}, func() any { return b.workload("demo").Status })
		b.apply(role)
		noDeployment(b)
	})
	t.Run("template renders another name", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(strings.Replace(deploymentTemplate, "name: $(workload.metadata.name)$", "name: other", 1))
		b.eventually("there is the other", func() bool { return b.get("apps/v1", "Deployment", "other") != nil }, func() any { return b.workload("demo").Status })
		noDeployment(b)
	})
	t.Run("workload goes to another chain", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(strings.NewReplacer("name: chain-NS", "name: other-NS", "{chain: NS}", "{other: NS}").Replace(chainOfOne))
		b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
		noDeployment(b)
		b.condition("demo", "Ready", "True", "Ready")
		image := b.get("slipway.dev/v1alpha1", "Image", "demo")
		if image == nil || image.GetLabels()[v1alpha1.LabelSupplyChainName] != "other-"+b.namespace {
			t.Errorf("the Image, which both chains stamp, is %v", image)
		}
	})
}

// visible waits until the status of demo shows the Deployment as one that is not wanted any more, and says why.
func (b *bench) visible(why string) {
	b.Helper()
	b.eventually("the orphan is visible: "+why, func() bool {
		for _, resource := range b.workload("demo").Status.Resources {
			c := realize.Condition(resource.Conditions, v1alpha1.ConditionResourceSubmitted)
			if resource.Name == "deployment" && c != nil && c.Reason == v1alpha1.ReasonOrphanNotDeleted && strings.Contains(c.Message, why) {
				return resource.StampedRef != nil && resource.StampedRef.Resource == "deployments.apps" && resource.StampedRef.Name == "demo"
			}
		}
		return false
	}, func() any { return b.workload("demo").Status })
}

// TestOrphansStayVisible : until they are gone, whatever keeps them, and whatever became of the chain.
func TestOrphansStayVisible(t *testing.T) {
	gone := func(b *bench) {
		b.Helper()
		b.eventually("nothing is left", func() bool {
			for _, resource := range b.workload("demo").Status.Resources {
				if resource.Name == "deployment" {
					return false
				}
			}
			return b.get("apps/v1", "Deployment", "demo") == nil
		}, func() any { return b.workload("demo").Status })
	}
	t.Run("a finalizer keeps it", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		object := b.get("apps/v1", "Deployment", "demo")
		object.SetFinalizers([]string{"their.dev/finalizer"})
		if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
			t.Fatal(err)
		}
		b.apply(chainOfOne)
		b.visible("it is being deleted")
		b.condition("demo", "Ready", "True", "Ready") // the rest is fine
		object = b.get("apps/v1", "Deployment", "demo")
		object.SetFinalizers(nil)
		if err := b.client.Update(t.Context(), object, client.FieldOwner("someone")); err != nil {
			t.Fatal(err)
		}
		gone(b)
	})
	t.Run("the chain is gone and the account may not", func(t *testing.T) {
		b := newBench(t)
		stop := b.run()
		b.ready()
		b.apply(strings.Replace(role, ", delete", "", 1))
		b.delete(chainOfTwo)
		b.visible("is forbidden")
		b.condition("demo", "SupplyChainReady", "False", "SupplyChainNotFound")
		stop()
		b.run() // which account it was stands on the object
		b.visible("is forbidden")
		b.apply(role)
		gone(b)
		b.eventually("the Image is gone, too", func() bool { return b.get("slipway.dev/v1alpha1", "Image", "demo") == nil }, func() any { return b.workload("demo").Status })
	})
	t.Run("the account is gone", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.delete(account)
		b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
		b.visible("not found")
		b.apply(account)
		gone(b)
	})
	t.Run("a policy keeps it", func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.ready()
		b.apply(keepingPolicy)
		b.apply(keepingBinding)
		probe := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: probe}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}"
		b.apply(probe)
		b.eventually("the policy is in force", func() bool {
			return b.client.Delete(t.Context(), b.parse(probe)[0], client.DryRunAll) != nil
		}, func() any { return nil })
		b.apply(chainOfOne)
		b.visible("stays for now")
		b.delete(keepingBinding)
		gone(b)
	})
}

const keepingPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: keep-NS}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [DELETE], resources: [deployments]}]}
  validations: [{expression: "request.namespace != 'NS'", message: stays for now}]`

const keepingBinding = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: keep-NS}
spec: {policyName: keep-NS, validationActions: [Deny]}`
