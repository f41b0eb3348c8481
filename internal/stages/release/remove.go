package release

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// remove lets a Release that is being deleted go, after what it has applied outside of its namespace. While that does not
// work the condition says why.
func (r *reconciler) remove(ctx context.Context, release *v1alpha1.Release) (ctrl.Result, error) {
	if !slices.Contains(release.Finalizers, finalizer) {
		return ctrl.Result{}, nil
	}
	before := release.DeepCopy()
	err := r.clear(ctx, release)
	if err == nil {
		finalizers := slices.DeleteFunc(slices.Clone(release.Finalizers), func(name string) bool { return name == finalizer })
		return ctrl.Result{}, client.IgnoreNotFound(r.patchMetadata(ctx, release, map[string]any{"finalizers": finalizers, "resourceVersion": release.ResourceVersion}))
	}
	if ctx.Err() != nil || apierrors.IsConflict(err) {
		return ctrl.Result{}, err
	}
	problem := problemOf(err)
	settle(release, metav1.ConditionFalse, problem.reason, "The release is not deleted before what it has applied elsewhere is: "+problem.message)
	if err := r.publish(ctx, before, release); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: againAfter}, nil
}

// clear deletes what the Release has applied outside of its namespace; the rest follows its owner. What the account may not
// delete is left behind: nobody else may, and holding the Release would help nobody.
func (r *reconciler) clear(ctx context.Context, release *v1alpha1.Release) error {
	outside := slices.DeleteFunc(slices.Clone(release.Status.Inventory), func(name v1alpha1.ReleasedObject) bool { return name.Namespace == release.Namespace })
	api, err := r.as(ctx, release)
	if forbidden(err) {
		r.log.Warn("objects are left behind", "release", client.ObjectKeyFromObject(release).String(), "objects", len(outside), "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(outside) {
		err := r.prune(ctx, api, release, []v1alpha1.ReleasedObject{name})
		if forbidden(err) {
			r.log.Warn("an object is left behind", "release", client.ObjectKeyFromObject(release).String(), "object", called(name), "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func forbidden(err error) bool {
	problem, is := errors.AsType[*failure](err)
	return is && problem.reason == v1alpha1.ReasonForbidden
}
