package release

import (
	"context"
	"encoding/json"
	"slices"

	"k8s.io/client-go/dynamic"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// maxInventory is how many bytes of JSON an inventory may have: any release's fits, and with it the object stays below the
// 1.5 MiB that etcd takes.
const maxInventory = 1 << 20

// inventory is what the Release has applied and is about to apply. Revisions that were never ready add to it and nothing is
// pruned; when it gets too large for the status, of what was never made or is gone as much is left out as makes it fit.
func (r *reconciler) inventory(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, names []v1alpha1.ReleasedObject, most int) ([]v1alpha1.ReleasedObject, error) {
	all := union(release.Status.Inventory, names)
	over := sizeOf(all...) - most
	left := map[v1alpha1.ReleasedObject]bool{}
	for _, name := range without(release.Status.Inventory, names) {
		if over <= 0 {
			break
		}
		found, _, err := r.find(ctx, api, name)
		if err != nil {
			return nil, err
		}
		if found == nil || found.GetLabels()[labelPartOf] != idOf(release) {
			left[name] = true
			over -= sizeOf(name)
		}
	}
	all = slices.DeleteFunc(all, func(name v1alpha1.ReleasedObject) bool { return left[name] })
	if over > 0 {
		return nil, failed(v1alpha1.ReasonTooLarge, "Revisions that were never ready have left %d objects, with which the inventory is too large for %d more. Delete some of them (they have the label %s=%s), or go back to a revision that was ready.",
			len(all)-len(names), len(names), labelPartOf, idOf(release))
	}
	return all, nil
}

// sizeOf is how many bytes names have in a status.
func sizeOf(names ...v1alpha1.ReleasedObject) int {
	size := 0
	for _, name := range names {
		text, err := json.Marshal(name)
		if err != nil {
			panic(err) // it has nothing but strings
		}
		size += len(text) + len(",")
	}
	return size
}

// union lists the objects of both, those of the first first.
func union(a, b []v1alpha1.ReleasedObject) []v1alpha1.ReleasedObject {
	return append(slices.Clone(a), without(b, a)...)
}

// without lists the objects of the first that are not in the second.
func without(a, b []v1alpha1.ReleasedObject) []v1alpha1.ReleasedObject {
	in := make(map[v1alpha1.ReleasedObject]bool, len(b))
	for _, name := range b {
		in[unversioned(name)] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(name v1alpha1.ReleasedObject) bool { return in[unversioned(name)] })
}
