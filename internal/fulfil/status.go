package fulfil

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// fieldManager is the name under which builders write.
const fieldManager = "slipway-build"

var resource = v1alpha1.GroupVersion.WithResource("builds")

// errGone means that a request is not open any more: it was answered, or something else is asked for.
var errGone = errors.New("it is not asked for any more")

func read(object *unstructured.Unstructured) (*v1alpha1.Build, error) {
	b := &v1alpha1.Build{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, b); err != nil {
		return nil, fmt.Errorf("reading build %s/%s: %w", object.GetNamespace(), object.GetName(), err)
	}
	return b, nil
}

// write changes the status of a Build whose request is still open, and of nothing else: change says what, or refuses by
// its error. It is made anew when somebody else was quicker.
func (f *fulfiller) write(ctx context.Context, key types.NamespacedName, id string, change func(*v1alpha1.Build) (map[string]any, error)) error {
	builds := f.Cluster.Resource(resource).Namespace(key.Namespace)
	for {
		found, err := builds.Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return errGone
		}
		if err != nil {
			return fmt.Errorf("reading build %s: %w", key, err)
		}
		b, err := read(found)
		if err != nil {
			return err
		}
		if !asks(b, id) {
			return errGone
		}
		status, err := change(b)
		if err != nil || status == nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": b.ResourceVersion}, "status": status})
		if err != nil {
			return err
		}
		_, err = builds.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("writing the status of build %s: %w", key, err)
		}
		return nil
	}
}

// answer ends a request. Unless the image is in stock it must not be another builder's.
func (w *worker) answer(ctx context.Context, answer v1alpha1.BuildAnswer, inStock bool) error {
	answer.By = w.By
	return w.write(ctx, w.key, answer.Request, func(b *v1alpha1.Build) (map[string]any, error) {
		if !inStock {
			if err := w.free(b); err != nil {
				return nil, err
			}
		}
		return map[string]any{"answer": answer, "claim": nil}, nil
	})
}
