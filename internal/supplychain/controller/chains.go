package controller

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// chains reconciles supply chains: it says whether the templates that a chain names exist.
type chains struct{ client client.Client }

// Reconcile brings the status of one supply chain up to date.
func (c *chains) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	stored := &v1alpha1.ClusterSupplyChain{}
	if err := c.client.Get(ctx, request.NamespacedName, stored); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	chain := stored.DeepCopy()
	missing, err := c.missing(ctx, chain)
	var conditions []metav1.Condition // none, and so Ready Unknown, when the templates cannot be read
	if err == nil {
		ready := metav1.Condition{Type: v1alpha1.ConditionTemplatesReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
		if len(missing) > 0 {
			ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonTemplatesNotFound
			ready.Message = fmt.Sprintf("did not find the template of the resource(s) [%s]", strings.Join(missing, ", "))
		}
		conditions = append(conditions, ready)
	}
	chain.Status.Conditions = realize.Conditions(conditions, stored.Status.Conditions, metav1.Now())
	chain.Status.ObservedGeneration = chain.Generation
	if !equality.Semantic.DeepEqual(stored.Status, chain.Status) {
		if updated := c.client.Status().Update(ctx, chain); updated != nil {
			if apierrors.IsConflict(updated) || apierrors.IsNotFound(updated) {
				return reconcile.Result{RequeueAfter: retryFirst}, nil
			}
			return reconcile.Result{}, fmt.Errorf("failed to update status for supply chain: %w", updated)
		}
	}
	return reconcile.Result{}, err
}

// missing returns the resources whose template does not exist, once for each option that lacks one.
func (c *chains) missing(ctx context.Context, chain *v1alpha1.ClusterSupplyChain) ([]string, error) {
	var missing []string
	for _, resource := range chain.Spec.Resources {
		for _, name := range templateNames(resource) {
			template := newTemplate(resource.TemplateRef.Kind)
			if template == nil {
				missing = append(missing, resource.Name)
				continue
			}
			err := c.client.Get(ctx, types.NamespacedName{Name: name}, template)
			if apierrors.IsNotFound(err) {
				missing = append(missing, resource.Name)
			} else if err != nil {
				return nil, fmt.Errorf("failed to get cluster template: %w", err)
			}
		}
	}
	return missing, nil
}

// templateNames are the templates that a resource names; options that pass an input through name none.
func templateNames(resource v1alpha1.SupplyChainResource) []string {
	if len(resource.TemplateRef.Options) == 0 {
		return []string{resource.TemplateRef.Name}
	}
	var names []string
	for _, option := range resource.TemplateRef.Options {
		if option.Name != "" {
			names = append(names, option.Name)
		}
	}
	return names
}

// uses says whether a chain names a template.
func uses(chain *v1alpha1.ClusterSupplyChain, kind, name string) bool {
	for _, resource := range chain.Spec.Resources {
		if resource.TemplateRef.Kind != kind {
			continue
		}
		for _, used := range templateNames(resource) {
			if used == name {
				return true
			}
		}
	}
	return false
}
