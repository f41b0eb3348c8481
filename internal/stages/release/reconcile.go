package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/condition"
	"slipway.dev/slipway/internal/pull"
)

// Reconcile brings a Release one step further: it applies what is not applied or what it is time to look after, looks at
// what is not ready, and prunes when all is.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	release := &v1alpha1.Release{}
	if err := r.client.Get(ctx, request.NamespacedName, release); err != nil {
		if apierrors.IsNotFound(err) {
			r.contents.drop(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !release.DeletionTimestamp.IsZero() {
		r.contents.drop(request.NamespacedName)
		return r.remove(ctx, release)
	}
	before := release.DeepCopy()
	var next time.Duration
	var err error
	if release.Spec.Suspend {
		release.Status.LastHandledRequest = release.Annotations[v1alpha1.AnnotationRequestedAt] // whoever asks is answered
		settle(release, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "spec.suspend is set: nothing is applied.")
	} else if next, err = r.step(ctx, before, release); err != nil {
		if ctx.Err() != nil {
			return ctrl.Result{}, ctx.Err() // we are being ended; that says nothing about the release
		}
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: soon}, nil // what was read is old
		}
		problem := problemOf(err)
		settle(release, metav1.ConditionFalse, problem.reason, problem.message)
		next = againAfter
	}
	if err := r.publish(ctx, before, release); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// problemOf is what an error says about the release; one that is no answer says that it is tried again.
func problemOf(err error) *failure {
	if problem, known := errors.AsType[*failure](err); known {
		return problem
	}
	if said := condition.Scratch(err); said != "" {
		return failed(v1alpha1.ReasonStorageFailed, "%s", said)
	}
	return failed(v1alpha1.ReasonUnreachable, "%s. It is tried again by itself.", pull.Text(err))
}

// settle says in the status how it stands.
func settle(release *v1alpha1.Release, status metav1.ConditionStatus, reason, message string) {
	release.Status.ObservedGeneration = release.Generation
	meta.SetStatusCondition(&release.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: condition.Message(message), ObservedGeneration: release.Generation,
	})
}

// step does what is to be done now, and returns after how long there is more. before is the Release as the API server has
// it.
func (r *reconciler) step(ctx context.Context, before, release *v1alpha1.Release) (time.Duration, error) {
	asked := release.Annotations[v1alpha1.AnnotationRequestedAt]
	again := asked != release.Status.LastHandledRequest
	release.Status.LastHandledRequest = asked
	api, err := r.as(ctx, release)
	if err != nil {
		return 0, err
	}
	made, err := r.load(ctx, release)
	if err != nil {
		return 0, err
	}
	members, unknown, err := r.members(release, made.objects)
	if err != nil {
		return 0, err
	}
	names := namesOf(members, unknown)
	// Once a kind is known, its objects are known by their namespace, too: under that name they are to be pruned.
	begun := release.Status.AttemptedDigest == made.digest && release.Status.AttemptedAt != nil && len(without(names, release.Status.Inventory)) == 0
	if !begun {
		inventory, err := r.inventory(ctx, api, release, names, maxInventory)
		if err != nil {
			return 0, err
		}
		if err := r.begin(ctx, release, made.digest, inventory); err != nil {
			return 0, err
		}
		release.DeepCopyInto(before)
	}
	if err := r.markParent(ctx, release, union(release.Status.Inventory, names)); err != nil {
		return 0, err
	}
	if release.Status.ReleasedAt != nil {
		if members, err = withoutEnded(ctx, api, members); err != nil {
			return 0, err
		}
	}
	interval := duration(release.Spec.Interval, defaultInterval)
	if again || made.generation != release.Generation || r.now().Sub(made.appliedAt) >= interval {
		if made.passed, err = r.try(ctx, api, release, members); err != nil {
			r.contents.unapplied(release)
			return 0, err
		}
		made.next, made.reached, made.appliedAt, made.generation = 0, r.now(), r.now(), release.Generation
	}
	waitsFor, now, err := r.advance(ctx, api, release, members, unknown, &made)
	if err != nil {
		r.contents.unapplied(release)
		return 0, err
	}
	r.contents.put(release, made)
	if waitsFor != nil {
		return r.wait(release, *waitsFor, now)
	}
	behind, now, err := r.look(ctx, api, members)
	switch {
	case err != nil:
		return 0, err
	case behind != nil:
		return r.wait(release, behind.name, now)
	}
	if err := r.prune(ctx, api, release, without(release.Status.Inventory, names)); err != nil {
		return 0, err
	}
	release.Status.Inventory, release.Status.Revision = names, release.Spec.Source.Revision
	if release.Status.ReleasedAt == nil {
		release.Status.ReleasedAt = new(metav1.NewTime(r.now()).Rfc3339Copy())
	}
	settle(release, metav1.ConditionTrue, v1alpha1.ReasonReleased, fmt.Sprintf("revision '%s' is released: %d objects", release.Status.Revision, len(names)))
	return max(soon, interval-r.now().Sub(made.appliedAt)), nil
}

func namesOf(members []target, unknown []v1alpha1.ReleasedObject) []v1alpha1.ReleasedObject {
	var names []v1alpha1.ReleasedObject
	for _, member := range members {
		names = append(names, member.name)
	}
	return append(names, unknown...)
}

func duration(set *metav1.Duration, otherwise time.Duration) time.Duration {
	if set == nil || set.Duration <= 0 {
		return otherwise
	}
	return set.Duration
}

// begin writes down what is about to be applied before any of it is: then nothing is ever applied that a later run would
// not know to prune.
func (r *reconciler) begin(ctx context.Context, release *v1alpha1.Release, digest string, inventory []v1alpha1.ReleasedObject) error {
	before := release.DeepCopy()
	now := metav1.NewTime(r.now()).Rfc3339Copy()
	status := &release.Status
	status.Attempted, status.AttemptedDigest, status.AttemptedAt, status.ReleasedAt = release.Spec.Source.Revision, digest, &now, nil
	status.Inventory = inventory
	settle(release, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, fmt.Sprintf("revision '%s' is being applied", status.Attempted))
	status.ObservedGeneration = before.Status.ObservedGeneration // not applied yet
	// A status that was written from an old object would lose what the inventory has.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, release, patch); err != nil {
		before.DeepCopyInto(release)
		return fmt.Errorf("writing the status of release %s: %w", client.ObjectKeyFromObject(release), err)
	}
	return nil
}

// wait says what is waited for. Past the limit, or when waiting helps nothing, the release has failed; it is looked at
// further, since a person may help.
func (r *reconciler) wait(release *v1alpha1.Release, name v1alpha1.ReleasedObject, now health) (time.Duration, error) {
	age := r.now().Sub(release.Status.AttemptedAt.Time)
	limit := duration(release.Spec.Timeout, defaultTimeout)
	switch {
	case now.failed:
		settle(release, metav1.ConditionFalse, v1alpha1.ReasonNotReady, fmt.Sprintf("%s has failed: %s", called(name), now.detail))
		return againAfter, nil
	case release.Status.ReleasedAt != nil:
		settle(release, metav1.ConditionFalse, v1alpha1.ReasonNotReady, fmt.Sprintf("%s is no longer ready: %s", called(name), now.detail))
		return later, nil
	case now.stuck && age > stuckLimit:
		settle(release, metav1.ConditionFalse, v1alpha1.ReasonNotReady, fmt.Sprintf("%s is not ready: %s", called(name), now.detail))
		return later, nil
	case age > limit:
		settle(release, metav1.ConditionFalse, v1alpha1.ReasonNotReady, fmt.Sprintf("%s is not ready after %v: %s", called(name), limit, now.detail))
		return againAfter, nil
	}
	settle(release, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, fmt.Sprintf("waiting for %s: %s", called(name), now.detail))
	if age < 20*time.Second {
		return soon, nil
	}
	return later, nil
}

// as is the API as the Release's account sees it.
func (r *reconciler) as(ctx context.Context, release *v1alpha1.Release) (dynamic.Interface, error) {
	name := types.NamespacedName(accountOf(release))
	var account corev1.ServiceAccount
	if err := r.direct.Get(ctx, name, &account); apierrors.IsNotFound(err) {
		return nil, failed(v1alpha1.ReasonForbidden, "The service account %q does not exist in the namespace.", name.Name)
	} else if err != nil {
		return nil, fmt.Errorf("reading service account %s: %w", name, err)
	}
	who, err := r.identities.Of(name, account.UID)
	if err != nil {
		return nil, err
	}
	return who.Client, who.Ready(ctx)
}

// publish writes the status if it differs.
func (r *reconciler) publish(ctx context.Context, before, release *v1alpha1.Release) error {
	if equality.Semantic.DeepEqual(before.Status, release.Status) {
		return nil
	}
	base := before.DeepCopy()
	base.ResourceVersion = release.ResourceVersion // what was written meanwhile is our own
	if err := r.client.Status().Patch(ctx, release, client.MergeFrom(base)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of release %s: %w", client.ObjectKeyFromObject(release), err))
	}
	if condition := meta.FindStatusCondition(release.Status.Conditions, v1alpha1.ConditionReady); condition != nil {
		r.log.Info("release looked after", "release", client.ObjectKeyFromObject(release).String(), "reason", condition.Reason, "message", condition.Message)
	}
	return nil
}
