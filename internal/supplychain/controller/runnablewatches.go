package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
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
)

func (r *runnables) setup(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("runnable").WithOptions(options).
		For(&v1alpha1.Runnable{}, builder.WithPredicates(more())).
		WatchesRawSource(source.Func(r.stamped.Start)).
		WatchesRawSource(source.Func(r.selected.Start)).
		Watches(&v1alpha1.ClusterRunTemplate{}, handler.EnqueueRequestsFromMapFunc(r.ofTemplate))
	if err := r.accounts.watched(b).Complete(r); err != nil {
		return fmt.Errorf("setting up the controller of runnables: %w", err)
	}
	return nil
}

// more keeps our own writes of a status from waking its Runnable.
func more() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Runnable)
		if !ok {
			return true
		}
		after, ok := e.ObjectNew.(*v1alpha1.Runnable)
		if !ok {
			return true
		}
		said, saysNow := before.ObjectMeta.DeepCopy(), after.ObjectMeta.DeepCopy()
		said.ResourceVersion, saysNow.ResourceVersion = "", ""
		said.ManagedFields, saysNow.ManagedFields = nil, nil
		return !equality.Semantic.DeepEqual(said, saysNow) || !equality.Semantic.DeepEqual(before.Spec, after.Spec)
	}}
}

// ofTemplate returns the Runnables that run a template.
func (r *runnables) ofTemplate(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.RunnableList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		r.log.Error("runnables cannot be listed from the cache: some may not be woken", "error", err)
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		if list.Items[i].Spec.RunTemplateRef.Name == object.GetName() {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return found
}
