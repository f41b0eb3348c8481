package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/csaupgrade"
)

const (
	// cartographerManager is under which name Cartographer's controller wrote fields.
	cartographerManager = "cartographer"
	// annotationMerged holds what was last merged into an object that server-side apply cannot write, so that what a
	// template does not have any more goes from the object too.
	annotationMerged = "slipway.dev/last-merged"
	// noVersion is a resource version that no object has: etcd counts its writes from 2.
	noVersion = "1"
)

// create writes an object that is most likely not there. The API server makes what is applied with any resource version
// as long as nothing has its name, and refuses it (see taken) otherwise; so nobody's object is written over, and that it
// is not there need not be asked before.
func (c *cluster) create(ctx context.Context, mapping *meta.RESTMapping, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	wanted.SetResourceVersion(noVersion)
	defer wanted.SetResourceVersion("")
	written, err := c.put(ctx, mapping, nil, wanted)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	return written, nil
}

// taken says whether an error of create means that there is an object of that name.
func taken(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// put writes wanted over live, or anew where live is nil.
func (c *cluster) put(ctx context.Context, mapping *meta.RESTMapping, live, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	at := c.at(mapping, wanted.GetNamespace())
	if live != nil && updated(live) {
		if err := ownUpdates(ctx, at, live.GetName()); err != nil {
			return nil, err
		}
	}
	written, err := apply(ctx, at, wanted)
	switch {
	case err != nil && strings.Contains(err.Error(), "duplicate entries for key"):
		return merge(ctx, at, live, wanted)
	case err != nil && live == nil:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("patch: %w", err)
	}
	return written, nil
}

// unvalidated has the API server not look for unknown and doubled fields, about which it would only warn, and nobody reads
// its warnings: for that it parses what is applied a second time, 3 % of what it spends on a realisation. A field
// that a kind of its own does not know is refused in any case.
const unvalidated = metav1.FieldValidationIgnore

// apply writes an object by server-side apply, and takes fields over from others.
func apply(ctx context.Context, at dynamic.ResourceInterface, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	content, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
	}
	force := true
	return at.Patch(ctx, wanted.GetName(), types.ApplyPatchType, content, metav1.PatchOptions{FieldManager: fieldManager, Force: &force, FieldValidation: unvalidated})
}

// updated says whether an object was last written without server-side apply: by Cartographer, or by merge.
func updated(live *unstructured.Unstructured) bool {
	annotations := live.GetAnnotations()
	_, merged := annotations[annotationMerged]
	return merged || annotations[annotationHash] == ""
}

// ownUpdates makes the fields ours that Cartographer or merge wrote by updates. Server-side apply would only share them,
// and what a template does not have any more would stay in the object.
func ownUpdates(ctx context.Context, at dynamic.ResourceInterface, name string) error {
	object, err := at.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("failed to get unstructured [%s] from api server: %w", name, err)
	}
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(object, sets.New(cartographerManager, fieldManager), fieldManager)
	if err != nil {
		return fmt.Errorf("reading who manages the fields: %w", err)
	}
	if len(patch) == 0 {
		return nil
	}
	if _, err := at.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	return nil
}

// merge writes what server-side apply refuses: lists in which two entries have one key, which the API server accepts
// otherwise. Others' fields stay, as do the entries of lists only if they are in wanted.
func merge(ctx context.Context, at dynamic.ResourceInterface, live, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	wanted = wanted.DeepCopy()
	wanted.SetResourceVersion("")
	plain, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	wanted.SetAnnotations(with(wanted.GetAnnotations(), map[string]string{annotationMerged: string(plain)}))
	if live == nil {
		return at.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	}
	modified, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	current, err := json.Marshal(live.Object)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch([]byte(live.GetAnnotations()[annotationMerged]), modified, current)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	written, err := at.Patch(ctx, wanted.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	return written, nil
}
