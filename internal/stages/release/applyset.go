package release

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// The labels and annotations of an ApplySet, as kubectl has them (k8s.io/kubectl/pkg/cmd/apply).
const (
	labelSet             = "applyset.kubernetes.io/id"
	labelPartOf          = "applyset.kubernetes.io/part-of"
	annotationTooling    = "applyset.kubernetes.io/tooling"
	annotationKinds      = "applyset.kubernetes.io/contains-group-kinds"
	annotationNamespaces = "applyset.kubernetes.io/additional-namespaces"

	// tooling is who manages the sets. Another tool refuses a set that names this one; its version is that of the way
	// in which sets are kept, not of slipway.
	tooling = "slipway/v1.0.0"
	// finalizer holds a Release until what it applied outside of its namespace is deleted. The rest is its by owner
	// references.
	finalizer = "slipway.dev/release"
)

func base64Sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func idOf(release *v1alpha1.Release) string {
	return setID(release.Name, release.Namespace, "Release", v1alpha1.GroupVersion.Group)
}

// markParent makes the Release the parent of a set of these objects, before any of them is applied.
func (r *reconciler) markParent(ctx context.Context, release *v1alpha1.Release, members []v1alpha1.ReleasedObject) error {
	if other := release.Annotations[annotationTooling]; other != "" && !strings.HasPrefix(other, "slipway/") {
		return failed(v1alpha1.ReasonApplyFailed, "The Release is the parent of an ApplySet of another tool, %s: use another name.", other)
	}
	kinds, namespaces, outside := map[string]bool{}, map[string]bool{}, false
	for _, member := range members {
		kind := member.Kind
		if member.Group != "" {
			kind += "." + member.Group
		}
		kinds[kind] = true
		if member.Namespace != release.Namespace {
			outside = true
		}
		if member.Namespace != "" && member.Namespace != release.Namespace {
			namespaces[member.Namespace] = true
		}
	}
	annotations := map[string]string{
		annotationTooling: tooling, annotationKinds: strings.Join(slices.Sorted(maps.Keys(kinds)), ","),
		annotationNamespaces: strings.Join(slices.Sorted(maps.Keys(namespaces)), ","),
	}
	right := release.Labels[labelSet] == idOf(release) && slices.Contains(release.Finalizers, finalizer) == outside
	for name, value := range annotations {
		right = right && release.Annotations[name] == value
	}
	if right {
		return nil
	}
	finalizers := slices.DeleteFunc(slices.Clone(release.Finalizers), func(name string) bool { return name == finalizer })
	if outside {
		finalizers = append(finalizers, finalizer)
	}
	return r.patchMetadata(ctx, release, map[string]any{
		"labels": map[string]string{labelSet: idOf(release)}, "annotations": annotations, "finalizers": finalizers, "resourceVersion": release.ResourceVersion,
	})
}

func (r *reconciler) patchMetadata(ctx context.Context, release *v1alpha1.Release, metadata map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	if err := r.client.Patch(ctx, release, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("marking release %s: %w", client.ObjectKeyFromObject(release), err)
	}
	return nil
}
