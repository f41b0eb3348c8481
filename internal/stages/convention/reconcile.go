package convention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"slipway.dev/slipway/api/conventions/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

// reconciler keeps the status of PodIntents true.
type reconciler struct {
	client   client.Client
	direct   client.Reader // asks the API server each time
	images   *images
	webhooks *webhooks
	outcomes *outcomes
	pauses   workqueue.TypedRateLimiter[reconcile.Request]
	log      *slog.Logger
}

// failure is why a PodIntent's conventions are not applied.
type failure struct {
	reason string
	err    error
	again  bool // whether to try again by itself
}

// Reconcile applies the conventions once and writes the status if it differs. What failed for a reason that may pass is
// tried again, after a pause that grows.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	intent := &v1alpha1.PodIntent{}
	if err := r.client.Get(ctx, request.NamespacedName, intent); err != nil {
		r.pauses.Forget(request)
		r.outcomes.forget(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !intent.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	template, failed := r.apply(ctx, intent)
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err() // we are being ended; that says nothing about the conventions
	}
	if err := r.publish(ctx, intent, template, failed); err != nil {
		return ctrl.Result{}, err
	}
	if failed != nil && failed.again {
		return ctrl.Result{RequeueAfter: r.pauses.When(request)}, nil
	}
	r.pauses.Forget(request)
	return ctrl.Result{}, nil
}

// apply returns the template after all conventions, or why there is none.
func (r *reconciler) apply(ctx context.Context, intent *v1alpha1.PodIntent) (*corev1.PodTemplateSpec, *failure) {
	template, err := decode(intent.Spec.Template)
	if err != nil {
		return nil, &failure{reason: v1alpha1.ReasonInvalidTemplate, err: err}
	}
	all := &v1alpha1.ClusterPodConventionList{}
	if err := r.client.List(ctx, all); err != nil {
		return nil, &failure{reason: v1alpha1.ReasonConventionsApplied, err: fmt.Errorf("listing the conventions: %w", err), again: true}
	}
	chosen, err := choose(all.Items, intent.Labels, template.Labels)
	if err != nil {
		return nil, &failure{reason: v1alpha1.ReasonLabelSelector, err: err}
	}
	if len(chosen) == 0 {
		return template, nil
	}
	puller := pull.Puller{Namespace: intent.Namespace, Account: intent.Spec.ServiceAccountName}
	for _, secret := range intent.Spec.ImagePullSecrets {
		puller.Secrets = append(puller.Secrets, secret.Name)
	}
	if failed := r.checkAccount(ctx, puller); failed != nil {
		return nil, failed
	}
	found, err := r.images.find(ctx, puller, template)
	if err != nil {
		return nil, &failure{reason: v1alpha1.ReasonConventionsApplied, err: err, again: true}
	}
	key := outcomeKey(intent, template, chosen)
	if known := r.outcomes.get(client.ObjectKeyFromObject(intent), key); known != nil {
		return known, nil
	}
	applied, failed := r.applyAll(ctx, intent.Name, template, chosen, found)
	if failed == nil {
		r.outcomes.keep(client.ObjectKeyFromObject(intent), key, applied)
	}
	return applied, failed
}

// checkAccount makes sure that the service account is there, whose credentials are to be used.
func (r *reconciler) checkAccount(ctx context.Context, puller pull.Puller) *failure {
	if puller.Account == "" {
		return nil
	}
	err := r.direct.Get(ctx, client.ObjectKey{Namespace: puller.Namespace, Name: puller.Account}, &corev1.ServiceAccount{})
	if err == nil {
		return nil
	}
	if apierrors.IsNotFound(err) {
		err = fmt.Errorf("serviceaccounts %q not found", puller.Account)
	}
	return &failure{reason: v1alpha1.ReasonImageResolutionFailed, err: fmt.Errorf("failed to authenticate: %w", err), again: true}
}

// applyAll takes the conventions in turn, each with what the one before has made.
func (r *reconciler) applyAll(ctx context.Context, intent string, template *corev1.PodTemplateSpec, chosen []v1alpha1.ClusterPodConvention, found []image) (*corev1.PodTemplateSpec, *failure) {
	list := template.Annotations[v1alpha1.AnnotationApplied]
	described := sync.OnceValues(func() ([]imageConfig, error) { return r.describe(ctx, found) }) // for webhooks alone
	for i := range chosen {
		convention := &chosen[i]
		next, applied, err := r.applyOne(ctx, intent, template, convention, found, described)
		if none := (*authorityError)(nil); errors.As(err, &none) {
			return nil, &failure{reason: v1alpha1.ReasonCABundleResolutionFailed, err: none, again: true}
		}
		if err != nil {
			return nil, &failure{reason: v1alpha1.ReasonConventionsApplied, err: fmt.Errorf("failed to apply convention with name %s: %w", convention.Name, err), again: true}
		}
		template = next
		for _, one := range applied {
			if list != "" {
				list += "\n"
			}
			list += convention.Name + "/" + one
		}
		list = settle(template, list)
	}
	return template, nil
}

// settle writes the list of what was applied onto a template: a convention cannot take anything off it.
func settle(template *corev1.PodTemplateSpec, list string) string {
	if list == "" {
		delete(template.Annotations, v1alpha1.AnnotationApplied)
		return list
	}
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	template.Annotations[v1alpha1.AnnotationApplied] = list
	return list
}

func (r *reconciler) applyOne(ctx context.Context, intent string, template *corev1.PodTemplateSpec, convention *v1alpha1.ClusterPodConvention, found []image, described func() ([]imageConfig, error)) (*corev1.PodTemplateSpec, []string, error) {
	if name := convention.Spec.BuiltIn; name != "" {
		change := builtIns[name]
		if change == nil {
			return nil, nil, fmt.Errorf("there is no built-in convention %q", name)
		}
		known := configs{}
		for _, one := range found {
			known[one.name] = one.config
		}
		return template, change(template, known), nil
	}
	if convention.Spec.Webhook == nil {
		return nil, nil, errors.New("it has neither a webhook nor a built-in convention")
	}
	trusted, err := authorities(ctx, r.direct, convention)
	if err != nil {
		return nil, nil, err
	}
	sent, err := described()
	if err != nil {
		return nil, nil, err
	}
	return r.webhooks.ask(ctx, intent, convention, trusted, template, sent)
}

// describe is what webhooks are told of the images.
func (r *reconciler) describe(ctx context.Context, found []image) ([]imageConfig, error) {
	var all []imageConfig
	left := int64(maxBOMs)
	for _, one := range found {
		var materials []bom
		var err error
		if materials, left, err = r.images.boms(ctx, one, left); err != nil {
			return nil, err
		}
		all = append(all, imageConfig{Image: one.name, BOMs: materials, Config: one.config})
	}
	return all, nil
}

// publish writes what came of it, unless it stands there already. The last template that was good stays.
func (r *reconciler) publish(ctx context.Context, intent *v1alpha1.PodIntent, template *corev1.PodTemplateSpec, failed *failure) error {
	before := intent.DeepCopy()
	status := &intent.Status
	status.ObservedGeneration = intent.Generation
	applied := metav1.Condition{Type: v1alpha1.ConditionConventionsApplied, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonApplied}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConventionsApplied}
	if failed != nil {
		applied.Status, applied.Reason, applied.Message = metav1.ConditionFalse, failed.reason, failed.err.Error()
		ready.Status, ready.Reason, ready.Message = applied.Status, applied.Reason, applied.Message
	} else if status.Template == nil || !sameTemplate(status.Template.Raw, template) {
		written, err := encode(template)
		if err != nil {
			return err
		}
		status.Template = written
	}
	for _, condition := range []metav1.Condition{applied, ready} {
		condition.ObservedGeneration = intent.Generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	if equality.Semantic.DeepEqual(before.Status, intent.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, intent, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of pod intent %s: %w", client.ObjectKeyFromObject(intent), err))
	}
	r.log.Info("pod intent looked at", "podIntent", client.ObjectKeyFromObject(intent).String(), "reason", ready.Reason, "message", ready.Message)
	return nil
}
