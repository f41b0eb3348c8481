package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/internal/environment"
)

// appliedSpec is the annotation with the digest of the spec that `up` has given to an object.
const appliedSpec = "slipway.dev/applied-spec"

// makesChains says whether an object is one by which people make supply chains their own: a blueprint, a template, a
// convention. What they change of those is theirs; everything else is put right by `up`.
func makesChains(object *unstructured.Unstructured) bool {
	group := object.GroupVersionKind().Group
	return group == "carto.run" || group == "conventions.carto.run"
}

// leaveTheirs takes from the profile's objects those that somebody has changed in the cluster, notes them in u.left, and
// returns what to say of each. The others are marked, so that a change of them will be seen.
func (u *up) leaveTheirs(ctx context.Context, objects []*unstructured.Unstructured) (ours []*unstructured.Unstructured, said []string, err error) {
	lists := map[schema.GroupVersionKind]map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		if !makesChains(object) {
			ours = append(ours, object)
			continue
		}
		kind := object.GroupVersionKind()
		if lists[kind] == nil {
			if lists[kind], err = u.listed(ctx, object); err != nil {
				return nil, nil, err
			}
		}
		if err := mark(object); err != nil {
			return nil, nil, err
		}
		live := lists[kind][object.GetName()]
		if live == nil || !theirs(live, object) {
			ours = append(ours, object)
			continue
		}
		if u.left == nil {
			u.left = map[item]bool{}
		}
		u.left[itemOf(object)] = true
		said = append(said, fmt.Sprintf("Left as it is: %s, which %s; %s", argumentOf(object), changedBy(live), bringBack(object, u.Name)))
	}
	return ours, said, nil
}

// argumentOf names an object of the whole cluster as kubectl takes it.
func argumentOf(object *unstructured.Unstructured) string {
	return strings.ToLower(object.GetKind()) + " " + object.GetName()
}

// bringBack is how an object that somebody has changed becomes the profile's own again.
func bringBack(object *unstructured.Unstructured, name environment.Name) string {
	return fmt.Sprintf("`kubectl delete %s` and `slipway up%s` bring the profile's own back", argumentOf(object), nameFlag(name))
}

// listed are the objects of a kind in the cluster, by name.
func (u *up) listed(ctx context.Context, object *unstructured.Unstructured) (map[string]*unstructured.Unstructured, error) {
	resource, err := u.client.Resource(object)
	if meta.IsNoMatchError(err) {
		return map[string]*unstructured.Unstructured{}, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing what there is of kind %s: %w", object.GetKind(), err)
	}
	all := map[string]*unstructured.Unstructured{}
	for i := range found.Items {
		all[found.Items[i].GetName()] = &found.Items[i]
	}
	return all, nil
}

// mark notes on an object that is about to be applied what its spec is.
func mark(object *unstructured.Unstructured) error {
	text, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return fmt.Errorf("reading the spec of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appliedSpec] = fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	object.SetAnnotations(annotations)
	return nil
}

// theirs says whether somebody has changed an object in a way that applying it, marked, would undo. That it is not as this
// `up` has it may come of an older one, too: then it counts whether anybody else has written to its spec.
func theirs(live, object *unstructured.Unstructured) bool {
	if holds(live.Object["spec"], object.Object["spec"]) {
		return false
	}
	return live.GetAnnotations()[appliedSpec] == object.GetAnnotations()[appliedSpec] || len(others(live)) > 0
}

// holds says whether all of what is wanted is there. What there is besides is not looked at. What is read from a file has
// all numbers as float64, what the API server tells has whole ones as int64.
func holds(there, wanted any) bool {
	switch wanted := wanted.(type) {
	case nil:
		return true
	case map[string]any:
		there, ok := there.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range wanted {
			if !holds(there[key], value) {
				return false
			}
		}
		return true
	case []any:
		there, ok := there.([]any)
		return ok && slices.EqualFunc(there, wanted, holds)
	case float64:
		if whole, ok := there.(int64); ok {
			return float64(whole) == wanted
		}
	}
	return reflect.DeepEqual(there, wanted)
}

// others are those but slipway that own something of an object's spec.
func others(live *unstructured.Unstructured) []string {
	var names []string
	for _, entry := range live.GetManagedFields() {
		var fields map[string]any
		if entry.Manager == environment.FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, ok := fields["f:spec"]; ok && !slices.Contains(names, entry.Manager) {
			names = append(names, entry.Manager)
		}
	}
	return names
}

// changedBy says in words who has changed an object.
func changedBy(live *unstructured.Unstructured) string {
	if names := others(live); len(names) > 0 {
		return "was changed here (by " + strings.Join(names, ", ") + ")"
	}
	return "was changed here"
}
