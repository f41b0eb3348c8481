package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// blueprints reconciles the blueprints of one family: it says whether their templates are there.
type blueprints struct {
	client client.Client
	family *family
}

// Reconcile publishes whether one blueprint can be used.
func (c *blueprints) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := c.family.newBlueprint()
	if err := c.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if object.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil
	}
	judged := blueprintOf(object)
	found, failure := c.judge(ctx, judged)
	conditions := realize.Conditions(found, *judged.conditions, metav1.Now().Rfc3339Copy())
	if !equality.Semantic.DeepEqual(conditions, *judged.conditions) || *judged.observed != object.GetGeneration() {
		*judged.conditions, *judged.observed = conditions, object.GetGeneration()
		if err := c.client.Status().Update(ctx, object, client.FieldValidation(unvalidated)); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: retryFirst}, nil
			}
			return ctrl.Result{}, fmt.Errorf("failed to update status for %s: %w", c.family.blueprintWord, err)
		}
	}
	return ctrl.Result{}, failure
}

// judge says whether a blueprint can be used. A selector that nobody can match is told where the blueprint's author
// looks, and not only in the status of owners.
func (c *blueprints) judge(ctx context.Context, judged *blueprint) ([]metav1.Condition, error) {
	missing, err := c.missing(ctx, judged.realized())
	if err != nil {
		return nil, err
	}
	labels := judged.selector
	labels.MatchFields = nil // whether they can be evaluated depends on the owner
	_, invalid := labels.Fits(c.family.newOwner())
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
func (c *blueprints) missing(ctx context.Context, in realize.Blueprint) ([]string, error) {
	var missing []string
	for _, resource := range in.Resources {
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
				return nil, fmt.Errorf("%s: %w", c.family.templateError, err)
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

// usesTemplate says whether a blueprint refers to a template.
func usesTemplate(in realize.Blueprint, kind, name string) bool {
	for _, resource := range in.Resources {
		if resource.TemplateRef.Kind == kind && slices.Contains(templateNames(resource.TemplateRef), name) {
			return true
		}
	}
	return false
}
