package controller

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var (
	serviceAccounts = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
	roles           = rbacv1.SchemeGroupVersion.WithKind("Role")
	clusterRoles    = rbacv1.SchemeGroupVersion.WithKind("ClusterRole")
)

// watched adds to a controller the watches that wake its owners when their service accounts, or what those may do,
// change.
func (a *accounts) watched(b *builder.Builder) *builder.Builder {
	wake := handler.EnqueueRequestsFromMapFunc
	return b.WatchesMetadata(partial(serviceAccounts), wake(a.ofAccount), builder.WithPredicates(comesOrGoes())).
		WatchesMetadata(partial(roles), wake(a.ofRole)).
		WatchesMetadata(partial(clusterRoles), wake(a.ofClusterRole)).
		Watches(&rbacv1.RoleBinding{}, wake(a.ofRoleBinding)).
		Watches(&rbacv1.ClusterRoleBinding{}, wake(a.ofClusterRoleBinding))
}

func (a *accounts) ofAccount(_ context.Context, object client.Object) []reconcile.Request {
	changed := client.ObjectKeyFromObject(object)
	return requests(a.waiting.changed(func(account types.NamespacedName) bool { return account == changed }))
}

func (a *accounts) ofRole(ctx context.Context, object client.Object) []reconcile.Request {
	return a.ofRoleRef(ctx, rbacv1.RoleRef{Kind: roles.Kind, Name: object.GetName()}, object.GetNamespace())
}

func (a *accounts) ofClusterRole(ctx context.Context, object client.Object) []reconcile.Request {
	return a.ofRoleRef(ctx, rbacv1.RoleRef{Kind: clusterRoles.Kind, Name: object.GetName()}, metav1.NamespaceAll)
}

// ofRoleRef returns the owners that a role is bound to, in one namespace or all.
func (a *accounts) ofRoleRef(ctx context.Context, ref rbacv1.RoleRef, namespace string) []reconcile.Request {
	var bound []rbacv1.Subject
	var bindings rbacv1.RoleBindingList
	if err := a.client.List(ctx, &bindings, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache is stopping
	}
	for _, binding := range bindings.Items {
		if binding.RoleRef.Kind == ref.Kind && binding.RoleRef.Name == ref.Name {
			bound = append(bound, binding.Subjects...)
		}
	}
	if ref.Kind == clusterRoles.Kind {
		var everywhere rbacv1.ClusterRoleBindingList
		if err := a.client.List(ctx, &everywhere, client.UnsafeDisableDeepCopy); err != nil {
			return nil
		}
		for _, binding := range everywhere.Items {
			if binding.RoleRef.Name == ref.Name {
				bound = append(bound, binding.Subjects...)
			}
		}
	}
	return a.ofSubjects(bound)
}

func (a *accounts) ofRoleBinding(_ context.Context, object client.Object) []reconcile.Request {
	if binding, ok := object.(*rbacv1.RoleBinding); ok {
		return a.ofSubjects(binding.Subjects)
	}
	return nil
}

func (a *accounts) ofClusterRoleBinding(_ context.Context, object client.Object) []reconcile.Request {
	if binding, ok := object.(*rbacv1.ClusterRoleBinding); ok {
		return a.ofSubjects(binding.Subjects)
	}
	return nil
}

func (a *accounts) ofSubjects(subjects []rbacv1.Subject) []reconcile.Request {
	if len(subjects) == 0 {
		return nil
	}
	return requests(a.waiting.changed(func(account types.NamespacedName) bool {
		for _, subject := range subjects {
			if means(subject, account) {
				return true
			}
		}
		return false
	}))
}

// means says whether a subject of a binding is, or includes, a service account.
func means(subject rbacv1.Subject, account types.NamespacedName) bool {
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		return subject.Name == account.Name && subject.Namespace == account.Namespace
	case rbacv1.UserKind:
		return subject.Name == strings.Join([]string{"system:serviceaccount", account.Namespace, account.Name}, ":")
	case rbacv1.GroupKind:
		return subject.Name == "system:authenticated" || subject.Name == "system:serviceaccounts" ||
			subject.Name == "system:serviceaccounts:"+account.Namespace
	default:
		return false
	}
}

func requests(owners []types.NamespacedName) []reconcile.Request {
	made := make([]reconcile.Request, len(owners))
	for i := range owners {
		made[i].NamespacedName = owners[i]
	}
	return made
}
