package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// family is a kind of owners with the kind of blueprints that realise them: workloads with supply chains, or
// deliverables with deliveries.
type family struct {
	owner, blueprint string // the kinds
	// ownerWord and blueprintWord are what users call them; blueprintWords is the plural.
	ownerWord, blueprintWord, blueprintWords string
	// controllers are the names of the two controllers.
	ownerController, blueprintController string
	labels                               ownerLabels
	// ready is the condition of an owner that speaks of its blueprint; the reasons say why it has none.
	ready, labelsMissing, notFound, several string
	// templateError begins an error of reading a template of a blueprint.
	templateError string
	// templates are the kinds of templates that blueprints use.
	templates []string

	newOwner, newBlueprint func() client.Object
	owners                 func(context.Context, client.Reader) ([]client.Object, error)
	blueprints             func(context.Context, client.Reader) ([]client.Object, error)
}

func supplyChains() *family {
	return &family{
		owner: v1alpha1.KindWorkload, blueprint: v1alpha1.KindClusterSupplyChain,
		ownerWord: "workload", blueprintWord: "supply chain", blueprintWords: "supply chains",
		ownerController: "workload", blueprintController: "supplychain",
		labels: ownerLabels{name: v1alpha1.LabelWorkloadName, namespace: v1alpha1.LabelWorkloadNamespace},
		ready:  v1alpha1.ConditionSupplyChainReady, labelsMissing: v1alpha1.ReasonWorkloadLabelsMissing,
		notFound: v1alpha1.ReasonSupplyChainNotFound, several: v1alpha1.ReasonMultipleSupplyChainMatches,
		templateError: "failed to get cluster template",
		templates: []string{v1alpha1.KindClusterSourceTemplate, v1alpha1.KindClusterImageTemplate,
			v1alpha1.KindClusterConfigTemplate, v1alpha1.KindClusterTemplate},
		newOwner:     func() client.Object { return &v1alpha1.Workload{} },
		newBlueprint: func() client.Object { return &v1alpha1.ClusterSupplyChain{} },
		owners: func(ctx context.Context, reader client.Reader) ([]client.Object, error) {
			var list v1alpha1.WorkloadList
			err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
			return pointers(list.Items), err
		},
		blueprints: func(ctx context.Context, reader client.Reader) ([]client.Object, error) {
			var list v1alpha1.ClusterSupplyChainList
			err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
			return pointers(list.Items), err
		},
	}
}

func deliveries() *family {
	return &family{
		owner: v1alpha1.KindDeliverable, blueprint: v1alpha1.KindClusterDelivery,
		ownerWord: "deliverable", blueprintWord: "delivery", blueprintWords: "deliveries",
		ownerController: "deliverable", blueprintController: "delivery",
		labels: ownerLabels{name: v1alpha1.LabelDeliverableName, namespace: v1alpha1.LabelDeliverableNamespace},
		ready:  v1alpha1.ConditionDeliveryReady, labelsMissing: v1alpha1.ReasonDeliverableLabelsMissing,
		notFound: v1alpha1.ReasonDeliveryNotFound, several: v1alpha1.ReasonMultipleDeliveryMatches,
		templateError: "failed to get delivery cluster template",
		templates: []string{v1alpha1.KindClusterSourceTemplate, v1alpha1.KindClusterDeploymentTemplate,
			v1alpha1.KindClusterConfigTemplate, v1alpha1.KindClusterTemplate},
		newOwner:     func() client.Object { return &v1alpha1.Deliverable{} },
		newBlueprint: func() client.Object { return &v1alpha1.ClusterDelivery{} },
		owners: func(ctx context.Context, reader client.Reader) ([]client.Object, error) {
			var list v1alpha1.DeliverableList
			err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
			return pointers(list.Items), err
		},
		blueprints: func(ctx context.Context, reader client.Reader) ([]client.Object, error) {
			var list v1alpha1.ClusterDeliveryList
			err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
			return pointers(list.Items), err
		},
	}
}

// pointers returns the objects of a list. They are the cache's own: not to be changed.
func pointers[T any, P interface {
	client.Object
	*T
}](items []T) []client.Object {
	objects := make([]client.Object, len(items))
	for i := range items {
		objects[i] = P(&items[i])
	}
	return objects
}

// owner is a workload or a deliverable. All but object is part of the object.
type owner struct {
	object client.Object
	kind   string
	meta   *metav1.ObjectMeta
	spec   any
	params []v1alpha1.OwnerParam
	// account is the service account that it names; empty for none.
	account string
	status  *v1alpha1.OwnerStatus
	// blueprint names the blueprint that it was last realised by.
	blueprint *v1alpha1.ObjectReference
}

// ownerOf returns an object as an owner, nil for one that is none.
func ownerOf(object client.Object) *owner {
	switch o := object.(type) {
	case *v1alpha1.Workload:
		return &owner{object: o, kind: v1alpha1.KindWorkload, meta: &o.ObjectMeta, spec: &o.Spec, params: o.Spec.Params,
			account: o.Spec.ServiceAccountName, status: &o.Status.OwnerStatus, blueprint: &o.Status.SupplyChainRef}
	case *v1alpha1.Deliverable:
		return &owner{object: o, kind: v1alpha1.KindDeliverable, meta: &o.ObjectMeta, spec: &o.Spec, params: o.Spec.Params,
			account: o.Spec.ServiceAccountName, status: &o.Status.OwnerStatus, blueprint: &o.Status.DeliveryRef}
	default:
		return nil
	}
}

func (o *owner) key() client.ObjectKey { return client.ObjectKeyFromObject(o.object) }

// realized is the owner as realize wants it.
func (o *owner) realized(hideSecrets bool) realize.Owner {
	return realize.Owner{Kind: o.kind, Object: o.object, Params: o.params, Resources: o.status.Resources, HideSecrets: hideSecrets}
}

// blueprint is a supply chain or a delivery. All but object is part of the object.
type blueprint struct {
	object   client.Object
	selector selector.Selector
	// account is the service account for owners that name none.
	account v1alpha1.ServiceAccountRef
	// conditions and observed are its status.
	conditions *[]metav1.Condition
	observed   *int64
}

// blueprintOf returns an object as a blueprint, nil for one that is none.
func blueprintOf(object client.Object) *blueprint {
	switch b := object.(type) {
	case *v1alpha1.ClusterSupplyChain:
		return &blueprint{object: b, selector: selecting(b.Spec.LegacySelector), account: b.Spec.ServiceAccountRef,
			conditions: &b.Status.Conditions, observed: &b.Status.ObservedGeneration}
	case *v1alpha1.ClusterDelivery:
		return &blueprint{object: b, selector: selecting(b.Spec.LegacySelector), account: b.Spec.ServiceAccountRef,
			conditions: &b.Status.Conditions, observed: &b.Status.ObservedGeneration}
	default:
		return nil
	}
}

func selecting(by v1alpha1.LegacySelector) selector.Selector {
	return selector.Selector{MatchLabels: by.Selector, MatchExpressions: by.SelectorMatchExpressions, MatchFields: by.SelectorMatchFields}
}

// realized is the blueprint as realize wants it.
func (b *blueprint) realized() realize.Blueprint {
	if delivery, ok := b.object.(*v1alpha1.ClusterDelivery); ok {
		return realize.OfDelivery(delivery)
	}
	if chain, ok := b.object.(*v1alpha1.ClusterSupplyChain); ok {
		return realize.OfChain(chain)
	}
	return realize.Blueprint{}
}

// ready is the blueprint's condition Ready; nil before anybody has looked at it.
func (b *blueprint) ready() *metav1.Condition {
	return realize.Condition(*b.conditions, v1alpha1.ConditionReady)
}
