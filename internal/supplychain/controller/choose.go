package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// unchosen is why a workload has no supply chain.
type unchosen struct {
	// condition is SupplyChainReady; without a type where nothing can be said.
	condition metav1.Condition
	// certain : no chain is for this workload, and not merely none that could be found or decided on.
	certain bool
	retry   error
}

// choose returns the chain that fits the workload best.
func (w *workloads) choose(ctx context.Context, workload *v1alpha1.Workload) (*v1alpha1.ClusterSupplyChain, *unchosen) {
	no := func(reason, message string) *unchosen {
		return &unchosen{certain: true, condition: metav1.Condition{
			Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionFalse, Reason: reason, Message: message,
		}}
	}
	if len(workload.Labels) == 0 {
		return nil, no(v1alpha1.ReasonWorkloadLabelsMissing, "workload has no labels to match to supply chain")
	}
	var list v1alpha1.ClusterSupplyChainList
	if err := w.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, &unchosen{retry: fmt.Errorf("failed to get supply chains for workload [%s/%s]: %w", workload.Namespace, workload.Name, err)}
	}
	chains := slices.DeleteFunc(slices.Clone(list.Items), func(c v1alpha1.ClusterSupplyChain) bool { return c.DeletionTimestamp != nil })
	candidates := make([]selector.Selector, len(chains))
	for i := range chains {
		candidates[i] = selector.OfChain(&chains[i])
	}
	best, bad := selector.Best(candidates, workload)
	switch len(best) {
	case 1:
		return &chains[best[0]], nil
	case 0:
		problem := no(v1alpha1.ReasonSupplyChainNotFound,
			fmt.Sprintf("no supply chain found where full selector is satisfied by labels: %v", workload.Labels))
		for _, b := range bad {
			// It may be this workload's: what it stamped stays until that is known.
			problem.certain = false
			problem.condition.Message += fmt.Sprintf("; error handling selectors, selectorMatchExpressions or selectorMatchFields of [%s/%s]: %v",
				v1alpha1.KindClusterSupplyChain, chains[b.Index].Name, b.Err)
		}
		return nil, problem
	default:
		problem := no(v1alpha1.ReasonMultipleSupplyChainMatches, "workload may only match a single supply chain's selector")
		problem.certain = false
		return nil, problem
	}
}

// chainCondition is the workload's condition SupplyChainReady, as its chain's Ready gives it.
func chainCondition(chain *v1alpha1.ClusterSupplyChain) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionSupplyChainReady, Status: metav1.ConditionUnknown,
		Reason: v1alpha1.ReasonUnknown, Message: "supply chain not yet reconciled"}
	if ready := realize.Condition(chain.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, ready.Reason, ready.Message
		if ready.Status == metav1.ConditionTrue {
			condition.Status = metav1.ConditionTrue
		}
	}
	return condition
}
