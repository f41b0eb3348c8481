package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

// reconciler keeps the status of Images true.
type reconciler struct {
	client      client.Client
	credentials pull.Credentials
	registries  *pull.Registries
	stream      *stream // nil when everything is polled
	aliases     map[string]string
	interval    time.Duration
	logger      *slog.Logger
}

// outcome is what one look at an Image's registry found.
type outcome struct {
	latest  string   // the image by digest; empty with a failure
	failure *failure // why there is none
	again   bool     // whether to look again by itself
}

// Reconcile looks once and writes the status if it differs. It asks to be called again after the poll
// interval, unless the registry tells of changes by itself or nothing can change.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var image v1alpha1.Image
	if err := r.client.Get(ctx, request.NamespacedName, &image); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !image.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	found, err := r.look(ctx, &image)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.publish(ctx, &image, found); err != nil {
		return ctrl.Result{}, err
	}
	if !found.again {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: r.pause()}, nil
}

// pause is the poll interval, shortened by up to a tenth so that a thousand Images do not ask in one moment.
func (r *reconciler) pause() time.Duration {
	return r.interval - rand.N(r.interval/10+1) //nolint:gosec // jitter needs no secrecy
}

// look asks the registry. An error means that the cluster, not the registry, could not be asked.
func (r *reconciler) look(ctx context.Context, image *v1alpha1.Image) (outcome, error) {
	t, err := pull.Parse(image.Spec.Image, r.aliases)
	if err != nil {
		return outcome{failure: invalidReference(image.Spec.Image, err)}, nil
	}
	if t.Digest != "" {
		return outcome{latest: t.At(t.Digest)}, nil
	}
	puller := pull.Puller{Namespace: image.Namespace, Account: image.Spec.ServiceAccountName}
	for _, reference := range image.Spec.ImagePullSecrets {
		puller.Secrets = append(puller.Secrets, reference.Name)
	}
	found, err := r.credentials.Find(ctx, puller, t)
	if unusable, is := errors.AsType[*pull.UnusableError](err); is {
		return outcome{failure: invalidPullSecret(unusable), again: true}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	// Whether the registry tells is read before it is asked: a stream that breaks in between wakes us again.
	told := r.stream.tells(t)
	digest, err := r.registries.Digest(ctx, t.Asked, found.Auth)
	if err != nil {
		if ctx.Err() != nil {
			return outcome{}, ctx.Err() // we are being ended; that says nothing about the registry
		}
		return outcome{failure: explain(t, found, err), again: true}, nil
	}
	return outcome{latest: t.At(digest), again: !told}, nil
}

// publish writes what was found, unless it stands there already.
func (r *reconciler) publish(ctx context.Context, image *v1alpha1.Image, found outcome) error {
	before := image.DeepCopy()
	status := &image.Status
	status.ObservedGeneration = image.Generation
	status.LastHandledRequest = image.Annotations[v1alpha1.AnnotationRequestedAt]
	status.Complete = found.failure == nil
	condition := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionTrue,
		Reason:             v1alpha1.ReasonResolved,
		ObservedGeneration: image.Generation,
	}
	if found.failure == nil {
		status.LatestImage = found.latest
	} else {
		condition.Status = metav1.ConditionFalse
		condition.Reason = found.failure.reason
		condition.Message = found.failure.message
	}
	meta.SetStatusCondition(&status.Conditions, condition)
	if equality.Semantic.DeepEqual(before.Status, image.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, image, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of image %s: %w", client.ObjectKeyFromObject(image), err))
	}
	r.logger.Info("image looked at", "image", client.ObjectKeyFromObject(image).String(),
		"latest", status.LatestImage, "reason", condition.Reason, "message", condition.Message)
	return nil
}
