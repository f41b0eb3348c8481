package fulfil

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const (
	// lease is how long a claim lasts, and renewal how often it is made anew: a builder that was killed keeps the others
	// waiting no longer than that.
	lease   = 30 * time.Second
	renewal = 10 * time.Second
	// releaseLimit is how long a builder that ends may take to give its claims back.
	releaseLimit = time.Second

	fieldManager = "slipway-build"
)

var resource = v1alpha1.GroupVersion.WithResource("builds")

// errGone means that a request is not open any more: it was answered, or something else is asked for.
var errGone = errors.New("it is not asked for any more")

// errTaken means that another builder was first.
var errTaken = errors.New("another builder was first")

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

// claim takes a request, or renews that. With force it takes it from another builder.
func (f *fulfiller) claim(ctx context.Context, key types.NamespacedName, id string, force bool) error {
	return f.write(ctx, key, id, func(b *v1alpha1.Build) (map[string]any, error) {
		if !force && taken(b, f.By, time.Now()) > 0 {
			return nil, errTaken
		}
		return map[string]any{"claim": v1alpha1.BuildClaim{Request: id, By: f.By, Until: metav1.NewTime(time.Now().Add(lease))}}, nil
	})
}

// release gives a claim back, also when ctx has ended: others need not wait.
func (f *fulfiller) release(ctx context.Context, key types.NamespacedName, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	// Where it does not succeed the claim ends by itself.
	_ = f.write(ctx, key, id, func(b *v1alpha1.Build) (map[string]any, error) {
		if b.Status.Claim == nil || b.Status.Claim.By != f.By {
			return nil, nil
		}
		return map[string]any{"claim": nil}, nil
	})
}

// answer ends a request.
func (f *fulfiller) answer(ctx context.Context, key types.NamespacedName, answer v1alpha1.BuildAnswer) error {
	answer.By = f.By
	return f.write(ctx, key, answer.Request, func(*v1alpha1.Build) (map[string]any, error) {
		return map[string]any{"answer": answer, "claim": nil}, nil
	})
}
