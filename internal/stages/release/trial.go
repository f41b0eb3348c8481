package release

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// trial tells the mistakes of a revision from what the API server cannot judge before it has what the same revision brings:
// it refuses an object whose namespace, kind or role is not there yet.
type trial struct {
	release *v1alpha1.Release
	members []target
	// new are the members that the cluster does not have, or has otherwise; nil means that all may be.
	new map[v1alpha1.ReleasedObject]bool
}

// unversioned is an object's name without the version, which is how it is spoken of.
func unversioned(name v1alpha1.ReleasedObject) v1alpha1.ReleasedObject {
	name.Version = ""
	return name
}

// brings says whether the revision makes or changes an object.
func (t *trial) brings(group, kind, namespace, name string) bool {
	wanted := v1alpha1.ReleasedObject{Group: group, Kind: kind, Namespace: namespace, Name: name}
	if t.new != nil {
		return t.new[wanted]
	}
	return slices.ContainsFunc(t.members, func(member target) bool { return unversioned(member.name) == wanted })
}

// early says whether an answer about a member may be another one once the waves before it are applied.
func (t *trial) early(member target, err error) bool {
	namespace, object := member.name.Namespace, member.object
	text := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, fields...)
		return value
	}
	if !answered(err) {
		return t.webhookOf(err)
	}
	switch {
	case lacksRight(err):
		return waveOf(member.name) > bindingWave && t.grants(namespace)
	case apierrors.IsNotFound(err) && t.brings("", "Namespace", "", namespace):
		return true
	case t.bringsDefinition(member.name):
		return true
	}
	switch kind := (schema.GroupKind{Group: member.name.Group, Kind: member.name.Kind}); kind {
	case schema.GroupKind{Group: rbacGroup, Kind: "RoleBinding"}, schema.GroupKind{Group: rbacGroup, Kind: "ClusterRoleBinding"}:
		// An account that may not `bind` must have each right of the role itself, and the role must be there to be compared.
		return (apierrors.IsNotFound(err) || escalates(err)) && t.bringsRole(object, namespace)
	case schema.GroupKind{Kind: "Pod"}:
		account := cmp.Or(text("spec", "serviceAccountName"), "default")
		// The account `default` of a new namespace is made by a controller of the cluster, a moment later.
		madeSoon := t.brings("", "Namespace", "", namespace) && strings.Contains(err.Error(), `serviceaccount "default" not found`)
		return apierrors.IsForbidden(err) && (madeSoon || t.brings("", "ServiceAccount", namespace, account) || t.brings("scheduling.k8s.io", "PriorityClass", "", text("spec", "priorityClassName")))
	}
	return false
}

const rbacGroup = "rbac.authorization.k8s.io"

// bringsRole says whether the revision makes or changes the role that a binding names.
func (t *trial) bringsRole(binding *unstructured.Unstructured, namespace string) bool {
	kind, _, _ := unstructured.NestedString(binding.Object, "roleRef", "kind")
	name, _, _ := unstructured.NestedString(binding.Object, "roleRef", "name")
	if kind == "ClusterRole" {
		namespace = ""
	}
	return t.brings(rbacGroup, kind, namespace, name)
}

// bringsDefinition says whether the revision makes or changes the definition of an object's kind.
func (t *trial) bringsDefinition(name v1alpha1.ReleasedObject) bool {
	return slices.ContainsFunc(t.members, func(member target) bool {
		return defines(member.object, name) && t.brings(member.name.Group, member.name.Kind, "", member.name.Name)
	})
}

// grants says whether the revision gives the account rights in a namespace.
func (t *trial) grants(namespace string) bool {
	account := accountOf(t.release)
	return slices.ContainsFunc(t.members, func(member target) bool {
		everywhere := member.name.Kind == "ClusterRoleBinding"
		if member.name.Group != rbacGroup || !everywhere && (member.name.Kind != "RoleBinding" || member.name.Namespace != namespace) {
			return false
		}
		subjects, _, _ := unstructured.NestedSlice(member.object.Object, "subjects")
		return slices.ContainsFunc(subjects, account.is) &&
			(t.brings(rbacGroup, member.name.Kind, member.name.Namespace, member.name.Name) || t.bringsRole(member.object, member.name.Namespace))
	})
}

// webhookOf says whether an error is that of a webhook which the revision configures, or of the conversion of a kind that
// it defines: who serves it may be of the revision, too, and must not be kept from being repaired by it.
func (t *trial) webhookOf(err error) bool {
	if !apierrors.IsInternalError(err) {
		return false
	}
	return slices.ContainsFunc(t.members, func(member target) bool {
		if member.name.Kind == "CustomResourceDefinition" {
			return convertedBy(member.object, err)
		}
		if member.name.Group != "admissionregistration.k8s.io" {
			return false
		}
		webhooks, _, _ := unstructured.NestedSlice(member.object.Object, "webhooks")
		return slices.ContainsFunc(webhooks, func(webhook any) bool {
			fields, _ := webhook.(map[string]any)
			name, _ := fields["name"].(string)
			return name != "" && strings.Contains(err.Error(), `failed calling webhook "`+name+`"`)
		})
	})
}

// convertedBy says whether an error is that of the conversion webhook of a definition's kind. It counts as such where the
// definition is to have none, too: the one that is there has, until it is changed.
func convertedBy(definition *unstructured.Unstructured, err error) bool {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	_, of, found := strings.Cut(err.Error(), "conversion webhook for "+group+"/")
	_, of, is := strings.Cut(of, ", Kind=")
	return found && is && strings.HasPrefix(of, kind+" ")
}

// defines says whether an object is the definition of another's kind, and serves the version.
func defines(object *unstructured.Unstructured, name v1alpha1.ReleasedObject) bool {
	group, _, _ := unstructured.NestedString(object.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
	if object.GetKind() != "CustomResourceDefinition" || group != name.Group || kind != name.Kind {
		return false
	}
	versions, _, _ := unstructured.NestedSlice(object.Object, "spec", "versions")
	return slices.ContainsFunc(versions, func(version any) bool {
		fields, _ := version.(map[string]any)
		return fields["name"] == name.Version && fields["served"] == true
	})
}

// alters says whether what a trial gave is another object than the one that is there, which is nil for none.
func alters(before, after *unstructured.Unstructured) bool {
	return before == nil || !equality.Semantic.DeepEqual(bare(before), bare(after))
}

// bare is an object without what every write changes.
func bare(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	return object.Object
}
