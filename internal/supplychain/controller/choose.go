package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// unchosen is why an owner has no blueprint.
type unchosen struct {
	// condition is the one of the blueprint, SupplyChainReady or DeliveryReady; without a type where nothing can be said.
	condition metav1.Condition
	// certain : no blueprint is for this owner, and not merely none that could be found or decided on.
	certain bool
	retry   error
}

// choose returns the blueprint that fits an owner best.
func (w *owners) choose(ctx context.Context, of *owner) (*blueprint, *unchosen) {
	no := func(reason, format string, arguments ...any) *unchosen {
		return &unchosen{certain: true, condition: metav1.Condition{
			Type: w.family.ready, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, arguments...),
		}}
	}
	labels := of.object.GetLabels()
	if len(labels) == 0 {
		return nil, no(w.family.labelsMissing, "%s has no labels to match to %s", w.family.ownerWord, w.family.blueprintWord)
	}
	list, err := w.family.blueprints(ctx, w.client)
	if err != nil {
		return nil, &unchosen{retry: fmt.Errorf("failed to get %s for %s [%s]: %w", w.family.blueprintWords, w.family.ownerWord, of.key(), err)}
	}
	// The cache gives them in any order; the message below must not change from one look to the next.
	slices.SortFunc(list, func(a, b client.Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	var blueprints []*blueprint
	var candidates []selector.Selector
	for _, object := range list {
		if object.GetDeletionTimestamp() == nil {
			found := blueprintOf(object)
			blueprints, candidates = append(blueprints, found), append(candidates, found.selector)
		}
	}
	best, bad := selector.Best(candidates, of.object)
	switch len(best) {
	case 1:
		return blueprints[best[0]], nil
	case 0:
		problem := no(w.family.notFound, "no %s found where full selector is satisfied by labels: %v", w.family.blueprintWord, labels)
		for _, b := range bad {
			// It may be this owner's: what it stamped stays until that is known.
			problem.certain = false
			problem.condition.Message += fmt.Sprintf("; error handling selectors, selectorMatchExpressions or selectorMatchFields of [%s/%s]: %v",
				w.family.blueprint, blueprints[b.Index].object.GetName(), b.Err)
		}
		return nil, problem
	default:
		problem := no(w.family.several, "%s may only match a single %s's selector", w.family.ownerWord, w.family.blueprintWord)
		problem.certain = false
		return nil, problem
	}
}

// blueprintCondition is an owner's condition SupplyChainReady or DeliveryReady, as its blueprint's Ready gives it.
func (f *family) blueprintCondition(of *blueprint) metav1.Condition {
	condition := metav1.Condition{Type: f.ready, Status: metav1.ConditionUnknown,
		Reason: v1alpha1.ReasonUnknown, Message: f.blueprintWord + " not yet reconciled"}
	if ready := of.ready(); ready != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, ready.Reason, ready.Message
		if ready.Status == metav1.ConditionTrue {
			condition.Status = metav1.ConditionTrue
		}
	}
	return condition
}
