package release

import (
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// account is the service account as which a Release is done.
type account types.NamespacedName

func accountOf(release *v1alpha1.Release) account {
	if release.Spec.ServiceAccountName == "" {
		return account{Namespace: release.Namespace, Name: "default"}
	}
	return account{Namespace: release.Namespace, Name: release.Spec.ServiceAccountName}
}

// user is what the API server calls it.
func (a account) user() string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

// is says whether a subject of a binding is the account, or a group that it is in.
func (a account) is(subject any) bool {
	fields, _ := subject.(map[string]any)
	name, _ := fields["name"].(string)
	switch fields["kind"] {
	case "ServiceAccount":
		return name == a.Name && fields["namespace"] == a.Namespace
	case "User":
		return name == a.user()
	case "Group":
		return name == "system:authenticated" || name == "system:serviceaccounts" || name == "system:serviceaccounts:"+a.Namespace
	}
	return false
}

// lacksRight says whether an answer is that the user may not do what was asked. Admission forbids things, too: a quota that
// is used up, a pod without its account.
func lacksRight(err error) bool {
	_, who, named := strings.Cut(err.Error(), `User "`)
	return apierrors.IsForbidden(err) && named && strings.Contains(who, `" cannot `)
}

// escalates says whether an answer is that somebody would give rights that they do not have themselves.
func escalates(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "attempting to grant RBAC permissions not currently held")
}
