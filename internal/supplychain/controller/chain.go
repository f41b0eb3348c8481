package controller

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// chains reconciles supply chains: it says whether their templates are there.
type chains struct{ client client.Client }

// Reconcile publishes whether one supply chain can be used.
func (c *chains) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var chain v1alpha1.ClusterSupplyChain
	if err := c.client.Get(ctx, request.NamespacedName, &chain); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if chain.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	conditions, failure := c.judge(ctx, &chain)
	status := v1alpha1.SupplyChainStatus{
		ObservedGeneration: chain.Generation,
		Conditions:         realize.Conditions(conditions, chain.Status.Conditions, metav1.Now().Rfc3339Copy()),
	}
	if !equality.Semantic.DeepEqual(status, chain.Status) {
		chain.Status = status
		if err := c.client.Status().Update(ctx, &chain); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: retryFirst}, nil
			}
			return ctrl.Result{}, fmt.Errorf("failed to update status for supply chain: %w", err)
		}
	}
	return ctrl.Result{}, failure
}

// judge says whether a chain can be used. A selector that nobody can match is told where the chain's author looks, and
// not only in the status of workloads.
func (c *chains) judge(ctx context.Context, chain *v1alpha1.ClusterSupplyChain) ([]metav1.Condition, error) {
	missing, err := c.missing(ctx, chain)
	if err != nil {
		return nil, err
	}
	labels := selector.Selector{MatchLabels: chain.Spec.Selector, MatchExpressions: chain.Spec.SelectorMatchExpressions}
	_, invalid := labels.Fits(&v1alpha1.Workload{})
	condition := metav1.Condition{Type: v1alpha1.ConditionTemplatesReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	switch {
	case invalid != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, invalid.Error()
	case len(missing) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonTemplatesNotFound
		condition.Message = fmt.Sprintf("did not find the template of the resource(s) [%s]", strings.Join(missing, ", "))
	}
	return []metav1.Condition{condition}, nil
}

// missing returns the resources whose template is not there, once for each template.
func (c *chains) missing(ctx context.Context, chain *v1alpha1.ClusterSupplyChain) ([]string, error) {
	var missing []string
	for _, resource := range chain.Spec.Resources {
		for _, name := range templateNames(resource.TemplateRef) {
			object := newTemplate(resource.TemplateRef.Kind)
			if object == nil {
				missing = append(missing, resource.Name)
				continue
			}
			err := c.client.Get(ctx, types.NamespacedName{Name: name}, object, client.UnsafeDisableDeepCopy)
			switch {
			case apierrors.IsNotFound(err):
				missing = append(missing, resource.Name)
			case err != nil:
				return nil, fmt.Errorf("failed to get cluster template: %w", err)
			}
		}
	}
	return missing, nil
}

// templateNames returns every template that a reference may lead to.
func templateNames(ref v1alpha1.SupplyChainTemplateReference) []string {
	if ref.Name != "" || len(ref.Options) == 0 {
		return []string{ref.Name}
	}
	var names []string
	for _, option := range ref.Options {
		if option.Name != "" {
			names = append(names, option.Name)
		}
	}
	return names
}

// usesTemplate says whether a chain refers to a template.
func usesTemplate(chain *v1alpha1.ClusterSupplyChain, kind, name string) bool {
	for _, resource := range chain.Spec.Resources {
		if resource.TemplateRef.Kind != kind {
			continue
		}
		for _, used := range templateNames(resource.TemplateRef) {
			if used == name {
				return true
			}
		}
	}
	return false
}
