package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
)

func templateKinds() []client.Object {
	return []client.Object{
		&v1alpha1.ClusterSourceTemplate{}, &v1alpha1.ClusterImageTemplate{},
		&v1alpha1.ClusterConfigTemplate{}, &v1alpha1.ClusterTemplate{},
	}
}

func (w *workloads) setup(mgr ctrl.Manager, options controller.Options) error {
	wake := handler.EnqueueRequestsFromMapFunc
	b := ctrl.NewControllerManagedBy(mgr).Named("workload").WithOptions(options).
		For(&v1alpha1.Workload{}, builder.WithPredicates(moreThanStatus())).
		WatchesRawSource(source.Func(w.stamped.Start)).
		Watches(&v1alpha1.ClusterSupplyChain{}, wake(w.ofChain), builder.WithPredicates(chainMatters()))
	b = w.accounts.watched(b)
	for _, object := range templateKinds() {
		b = b.Watches(object, wake(w.ofTemplate(kindOf(mgr, object))))
	}
	return b.Complete(w)
}

func (c *chains) setup(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("supplychain").WithOptions(options).
		For(&v1alpha1.ClusterSupplyChain{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	for _, object := range templateKinds() {
		b = b.Watches(object, handler.EnqueueRequestsFromMapFunc(c.ofTemplate(kindOf(mgr, object))), builder.WithPredicates(comesOrGoes()))
	}
	return b.Complete(c)
}

func kindOf(mgr ctrl.Manager, object client.Object) string {
	kind, err := mgr.GetClient().GroupVersionKindFor(object)
	if err != nil {
		return "" // the scheme lacks the kind; the watch of it then reports that
	}
	return kind.Kind
}

func partial(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}

// moreThanStatus keeps our own writes of a status from waking its workload.
func moreThanStatus() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Workload)
		if !ok {
			return true
		}
		after, ok := e.ObjectNew.(*v1alpha1.Workload)
		return !ok || !equality.Semantic.DeepEqual(spoken(before), spoken(after))
	}}
}

// spoken is what users say about a workload.
func spoken(workload *v1alpha1.Workload) *v1alpha1.Workload {
	said := &v1alpha1.Workload{ObjectMeta: workload.ObjectMeta, Spec: workload.Spec}
	said.ResourceVersion, said.ManagedFields = "", nil
	return said
}

// chainMatters : a chain's status concerns workloads only by its condition Ready.
func chainMatters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.ClusterSupplyChain)
		if !ok {
			return true
		}
		after, ok := e.ObjectNew.(*v1alpha1.ClusterSupplyChain)
		return !ok || before.Generation != after.Generation || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
			!equality.Semantic.DeepEqual(realize.Condition(before.Status.Conditions, v1alpha1.ConditionReady),
				realize.Condition(after.Status.Conditions, v1alpha1.ConditionReady))
	}}
}

func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() }}
}

// ofChain returns the workloads that a chain fits or did fit. Of an update it is asked for both the old chain and
// the new one.
func (w *workloads) ofChain(ctx context.Context, object client.Object) []reconcile.Request {
	chain, ok := object.(*v1alpha1.ClusterSupplyChain)
	if !ok {
		return nil
	}
	return w.those(ctx, func(workload *v1alpha1.Workload) bool { return concerned(chain, workload) })
}

// concerned says whether a change of chain can mean anything to workload. A selector that cannot be evaluated fits
// nothing, but may have become so with this change: it then concerns the workloads that wait for a chain.
func concerned(chain *v1alpha1.ClusterSupplyChain, workload *v1alpha1.Workload) bool {
	if workload.Status.SupplyChainRef.Name == chain.Name {
		return true
	}
	fits, err := selector.OfChain(chain).Fits(workload)
	return fits || (err != nil && workload.Status.SupplyChainRef.Name == "")
}

func (w *workloads) those(ctx context.Context, concerned func(*v1alpha1.Workload) bool) []reconcile.Request {
	var list v1alpha1.WorkloadList
	if err := w.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		w.log.Error("workloads cannot be listed from the cache: some may not be woken", "error", err)
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if concerned(&list.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// ofTemplate returns the workloads whose chain refers to a template.
func (w *workloads) ofTemplate(kind string) handler.MapFunc {
	return func(ctx context.Context, template client.Object) []reconcile.Request {
		using := chainsWith(ctx, w.client, kind, template.GetName())
		if len(using) == 0 {
			return nil
		}
		return w.those(ctx, func(workload *v1alpha1.Workload) bool {
			for _, chain := range using {
				if concerned(chain, workload) {
					return true
				}
			}
			return false
		})
	}
}

func (c *chains) ofTemplate(kind string) handler.MapFunc {
	return func(ctx context.Context, template client.Object) []reconcile.Request {
		var requests []reconcile.Request
		for _, chain := range chainsWith(ctx, c.client, kind, template.GetName()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(chain)})
		}
		return requests
	}
}

// chainsWith returns the chains that refer to a template. They are the cache's own: not to be changed.
func chainsWith(ctx context.Context, reader client.Reader, kind, name string) []*v1alpha1.ClusterSupplyChain {
	var list v1alpha1.ClusterSupplyChainList
	if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache is stopping
	}
	var using []*v1alpha1.ClusterSupplyChain
	for i := range list.Items {
		if usesTemplate(&list.Items[i], kind, name) {
			using = append(using, &list.Items[i])
		}
	}
	return using
}
