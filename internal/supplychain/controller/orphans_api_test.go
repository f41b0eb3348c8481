package controller

import (
	"strings"
	"testing"

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
}
