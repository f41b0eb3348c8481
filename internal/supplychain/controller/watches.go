package controller

import (
	"context"
	"slices"

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
)

func (w *owners) setup(mgr ctrl.Manager, options controller.Options) error {
	wake := handler.EnqueueRequestsFromMapFunc
	b := ctrl.NewControllerManagedBy(mgr).Named(w.family.ownerController).WithOptions(options).
		For(w.family.newOwner(), builder.WithPredicates(moreThanStatus())).
		WatchesRawSource(source.Func(w.stamped.Start)).
		Watches(w.family.newBlueprint(), wake(w.ofBlueprint), builder.WithPredicates(blueprintMatters()))
	b = w.accounts.watched(b)
	for _, kind := range w.family.templates {
		b = b.Watches(newTemplate(kind), wake(w.ofTemplate(kind)))
	}
	return b.Complete(w)
}

func (c *blueprints) setup(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named(c.family.blueprintController).WithOptions(options).
		For(c.family.newBlueprint(), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	for _, kind := range c.family.templates {
		b = b.Watches(newTemplate(kind), handler.EnqueueRequestsFromMapFunc(c.ofTemplate(kind)), builder.WithPredicates(comesOrGoes()))
	}
	return b.Complete(c)
}

func partial(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}

// moreThanStatus keeps our own writes of a status from waking its owner.
func moreThanStatus() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := ownerOf(e.ObjectOld), ownerOf(e.ObjectNew)
		return before == nil || after == nil || !equality.Semantic.DeepEqual(before.spec, after.spec) ||
			!equality.Semantic.DeepEqual(spoken(before), spoken(after))
	}}
}

// spoken is what users say in the metadata of an owner.
func spoken(of *owner) metav1.ObjectMeta {
	said := *of.meta
	said.ResourceVersion, said.ManagedFields = "", nil
	return said
}

// blueprintMatters : a blueprint's status concerns owners only by its condition Ready.
func blueprintMatters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := blueprintOf(e.ObjectOld), blueprintOf(e.ObjectNew)
		return before == nil || after == nil || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
			(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil) ||
			!equality.Semantic.DeepEqual(before.ready(), after.ready())
	}}
}

func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() }}
}

// ofBlueprint returns the owners that a blueprint fits or did fit. Of an update it is asked for both the old blueprint
// and the new one.
func (w *owners) ofBlueprint(ctx context.Context, object client.Object) []reconcile.Request {
	changed := blueprintOf(object)
	if changed == nil {
		return nil
	}
	return w.those(ctx, func(of *owner) bool { return concerned(changed, of) })
}

// concerned says whether a change of a blueprint can mean anything to an owner. A selector that cannot be evaluated fits
// nothing, but may have become so with this change: it then concerns the owners that wait for a blueprint.
func concerned(by *blueprint, of *owner) bool {
	if of.blueprint.Name == by.object.GetName() {
		return true
	}
	fits, err := by.selector.Fits(of.object)
	return fits || (err != nil && of.blueprint.Name == "")
}

func (w *owners) those(ctx context.Context, concerned func(*owner) bool) []reconcile.Request {
	list, err := w.family.owners(ctx, w.client)
	if err != nil {
		w.log.Error("owners cannot be listed from the cache: some may not be woken", "kind", w.family.owner, "error", err)
		return nil
	}
	var requests []reconcile.Request
	for _, object := range list {
		if of := ownerOf(object); concerned(of) {
			requests = append(requests, reconcile.Request{NamespacedName: of.key()})
		}
	}
	return requests
}

// ofTemplate returns the owners whose blueprint refers to a template.
func (w *owners) ofTemplate(kind string) handler.MapFunc {
	return func(ctx context.Context, template client.Object) []reconcile.Request {
		using := w.family.with(ctx, w.client, kind, template.GetName())
		if len(using) == 0 {
			return nil
		}
		return w.those(ctx, func(of *owner) bool {
			return slices.ContainsFunc(using, func(by *blueprint) bool { return concerned(by, of) })
		})
	}
}

func (c *blueprints) ofTemplate(kind string) handler.MapFunc {
	return func(ctx context.Context, template client.Object) []reconcile.Request {
		var requests []reconcile.Request
		for _, by := range c.family.with(ctx, c.client, kind, template.GetName()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(by.object)})
		}
		return requests
	}
}

// with returns the blueprints that refer to a template. They are the cache's own: not to be changed.
func (f *family) with(ctx context.Context, reader client.Reader, kind, name string) []*blueprint {
	list, err := f.blueprints(ctx, reader)
	if err != nil {
		return nil // the cache is stopping
	}
	var using []*blueprint
	for _, object := range list {
		if by := blueprintOf(object); usesTemplate(by.realized(), kind, name) {
			using = append(using, by)
		}
	}
	return using
}
