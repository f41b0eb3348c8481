package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/selector"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// templateKinds are the kinds that a supply chain can name.
var templateKinds = []string{
	v1alpha1.KindClusterSourceTemplate, v1alpha1.KindClusterImageTemplate, v1alpha1.KindClusterConfigTemplate, v1alpha1.KindClusterTemplate,
}

// ownChange lets through what a user changed about a workload, and not the status that we wrote.
var ownChange = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{})

// setup says what wakes a workload: its own changes, its stamped objects, its chain, the chain's templates, its
// service account, and what that account may do. Nothing is polled.
func (w *workloads) setup(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("workload").WithOptions(options).
		For(&v1alpha1.Workload{}, builder.WithPredicates(ownChange)).
		WatchesRawSource(w.stamped).
		Watches(&v1alpha1.ClusterSupplyChain{}, w.chainChanges()).
		Watches(&corev1.ServiceAccount{}, w.accountChanges()).
		Watches(&rbacv1.Role{}, handler.EnqueueRequestsFromMapFunc(w.roleChanged)).
		Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(w.roleChanged)).
		Watches(&rbacv1.RoleBinding{}, handler.EnqueueRequestsFromMapFunc(w.bindingChanged)).
		Watches(&rbacv1.ClusterRoleBinding{}, handler.EnqueueRequestsFromMapFunc(w.bindingChanged))
	for _, kind := range templateKinds {
		b = b.Watches(newTemplate(kind), templateChanges(kind, w.usersOf))
	}
	return b.Complete(w)
}

// setup says what wakes a supply chain: its own changes, and its templates' coming and going.
func (c *chains) setup(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("clustersupplychain").WithOptions(options).
		For(&v1alpha1.ClusterSupplyChain{}, builder.WithPredicates(ownChange))
	for _, kind := range templateKinds {
		b = b.Watches(newTemplate(kind), templateChanges(kind, func(ctx context.Context, kind, name string) []reconcile.Request {
			return requests(chainsUsing(ctx, c.client, kind, name))
		}))
	}
	return b.Complete(c)
}

// chainChanges wakes the workloads that a chain matches or matched. A chain's status matters only in what workloads
// copy of it: whether it is ready, and why not.
func (w *workloads) chainChanges() handler.EventHandler {
	wake := func(ctx context.Context, q queue, chains ...client.Object) {
		for _, workload := range w.concernedBy(ctx, chains) {
			q.Add(reconcile.Request{NamespacedName: workload})
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { wake(ctx, q, e.Object) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { wake(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, ok := e.ObjectOld.(*v1alpha1.ClusterSupplyChain)
			after, fine := e.ObjectNew.(*v1alpha1.ClusterSupplyChain)
			if ok && fine && before.Generation == after.Generation && equality.Semantic.DeepEqual(chainReady(before), chainReady(after)) {
				return
			}
			wake(ctx, q, e.ObjectOld, e.ObjectNew)
		},
	}
}

// concernedBy returns the workloads that one of the chains (or one state of a chain) matches, or that follow it now.
func (w *workloads) concernedBy(ctx context.Context, objects []client.Object) []types.NamespacedName {
	all := &v1alpha1.WorkloadList{}
	if err := w.client.List(ctx, all); err != nil {
		w.log.Error("listing workloads", "error", err)
		return nil
	}
	var concerned []types.NamespacedName
	for i := range all.Items {
		workload := &all.Items[i]
		if slices.ContainsFunc(objects, func(object client.Object) bool {
			chain, ok := object.(*v1alpha1.ClusterSupplyChain)
			if !ok {
				return false
			}
			fits, err := selector.OfChain(chain).Fits(workload)
			return workload.Status.SupplyChainRef.Name == chain.Name || (err == nil && fits)
		}) {
			concerned = append(concerned, client.ObjectKeyFromObject(workload))
		}
	}
	return concerned
}

// templateChanges wakes the users of a template when it comes, goes, or says something else.
func templateChanges(kind string, users func(ctx context.Context, kind, name string) []reconcile.Request) handler.EventHandler {
	wake := func(ctx context.Context, q queue, name string) {
		for _, request := range users(ctx, kind, name) {
			q.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { wake(ctx, q, e.Object.GetName()) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { wake(ctx, q, e.Object.GetName()) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				wake(ctx, q, e.ObjectNew.GetName())
			}
		},
	}
}

// chainsUsing returns the chains that name a template.
func chainsUsing(ctx context.Context, reader client.Reader, kind, name string) []types.NamespacedName {
	all := &v1alpha1.ClusterSupplyChainList{}
	if err := reader.List(ctx, all); err != nil {
		return nil // the cache of a running manager lists without fail
	}
	var found []types.NamespacedName
	for i := range all.Items {
		if uses(&all.Items[i], kind, name) {
			found = append(found, types.NamespacedName{Name: all.Items[i].Name})
		}
	}
	return found
}

// usersOf returns the workloads whose chain names a template.
func (w *workloads) usersOf(ctx context.Context, kind, name string) []reconcile.Request {
	chains := chainsUsing(ctx, w.client, kind, name)
	all := &v1alpha1.WorkloadList{}
	if err := w.client.List(ctx, all); err != nil {
		w.log.Error("listing workloads", "error", err)
		return nil
	}
	var users []types.NamespacedName
	for i := range all.Items {
		if slices.Contains(chains, types.NamespacedName{Name: all.Items[i].Status.SupplyChainRef.Name}) {
			users = append(users, client.ObjectKeyFromObject(&all.Items[i]))
		}
	}
	return requests(users)
}

func requests(names []types.NamespacedName) []reconcile.Request {
	list := make([]reconcile.Request, 0, len(names))
	for _, name := range names {
		list = append(list, reconcile.Request{NamespacedName: name})
	}
	return list
}

// accountChanges wakes the workloads that use a service account which comes or goes. Its content does not matter.
func (w *workloads) accountChanges() handler.EventHandler {
	wake := func(q queue, object client.Object) {
		name := client.ObjectKeyFromObject(object)
		for _, request := range requests(w.waiting.changed(func(account types.NamespacedName) bool { return account == name })) {
			q.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { wake(q, e.Object) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			w.identities.forget(client.ObjectKeyFromObject(e.Object))
			wake(q, e.Object)
		},
	}
}

// roleChanged wakes the workloads whose account is bound to a role.
func (w *workloads) roleChanged(ctx context.Context, object client.Object) []reconcile.Request {
	kind := "ClusterRole"
	if _, ok := object.(*rbacv1.Role); ok {
		kind = "Role"
	}
	var bound []binding
	inRole := &rbacv1.RoleBindingList{}
	if err := w.client.List(ctx, inRole, client.InNamespace(object.GetNamespace())); err != nil {
		w.log.Error("listing role bindings", "error", err)
		return nil
	}
	for i := range inRole.Items {
		if ref := inRole.Items[i].RoleRef; ref.Kind == kind && ref.Name == object.GetName() {
			bound = append(bound, bindingOf(&inRole.Items[i]))
		}
	}
	if kind == "ClusterRole" {
		everywhere := &rbacv1.ClusterRoleBindingList{}
		if err := w.client.List(ctx, everywhere); err != nil {
			w.log.Error("listing cluster role bindings", "error", err)
			return nil
		}
		for i := range everywhere.Items {
			if everywhere.Items[i].RoleRef.Name == object.GetName() {
				bound = append(bound, bindingOf(&everywhere.Items[i]))
			}
		}
	}
	return requests(w.waiting.changed(func(account types.NamespacedName) bool {
		return slices.ContainsFunc(bound, func(b binding) bool { return b.concerns(account) })
	}))
}

// bindingChanged wakes the workloads whose account a binding names.
func (w *workloads) bindingChanged(_ context.Context, object client.Object) []reconcile.Request {
	return requests(w.waiting.changed(bindingOf(object).concerns))
}

// binding is what a RoleBinding and a ClusterRoleBinding have in common.
type binding struct {
	namespace string
	subjects  []rbacv1.Subject
}

func bindingOf(object client.Object) binding {
	switch object := object.(type) {
	case *rbacv1.RoleBinding:
		return binding{object.Namespace, object.Subjects}
	case *rbacv1.ClusterRoleBinding:
		return binding{"", object.Subjects}
	default:
		return binding{}
	}
}

// concerns says whether a service account is among the subjects: by name, as a user, or as a member of a group.
func (b binding) concerns(account types.NamespacedName) bool {
	const prefix = "system:serviceaccount"
	for _, subject := range b.subjects {
		switch subject.Kind {
		case rbacv1.ServiceAccountKind:
			namespace := subject.Namespace
			if namespace == "" {
				namespace = b.namespace
			}
			if subject.Name == account.Name && namespace == account.Namespace {
				return true
			}
		case rbacv1.UserKind:
			if subject.Name == prefix+":"+account.Namespace+":"+account.Name {
				return true
			}
		case rbacv1.GroupKind:
			if subject.Name == prefix+"s" || subject.Name == prefix+"s:"+account.Namespace || subject.Name == "system:authenticated" {
				return true
			}
		}
	}
	return false
}
