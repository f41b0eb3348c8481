package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

// reconciler keeps the status of Builds true. All that it knows is in there, so that a restart changes nothing.
type reconciler struct {
	client      client.Client
	credentials pull.Credentials
	registries  *pull.Registries
	aliases     map[string]string
	log         *slog.Logger
	now         func() time.Time
}

// progress is how far a Build is, as its condition says it.
type progress struct {
	status  metav1.ConditionStatus
	reason  string
	message string
	after   time.Duration // to look again then; 0 means that something will tell
}

// Reconcile asks for an image where one is needed, takes an answer, and writes the status if it differs.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	b := &v1alpha1.Build{}
	if err := r.client.Get(ctx, request.NamespacedName, b); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !b.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := b.DeepCopy()
	now, err := r.advance(ctx, b)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: now.after}, r.publish(ctx, before, b, now)
}

// advance says how far a Build is, and notes in its status what has changed.
func (r *reconciler) advance(ctx context.Context, b *v1alpha1.Build) (progress, error) {
	if problem := invalid(b); problem != "" {
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonInvalidSpec, message: problem}, nil
	}
	status, wanted := &b.Status, inputs(b)
	why := causes(status.Latest, wanted)
	if len(why) == 0 {
		status.Latest.Source = b.Spec.Source // the same files may be of another revision
		status.Request, status.Claim, status.Answer = nil, nil, nil
		return built(b), nil
	}
	id := identify(wanted)
	if status.Request == nil || status.Request.ID != id {
		status.Request = &v1alpha1.BuildRequest{BuildInputs: wanted, ID: id, Time: metav1.NewTime(r.now()).Rfc3339Copy()}
		status.Claim, status.Answer = nil, nil
	}
	status.Request.Reason = strings.Join(why, ",")
	if status.Answer == nil || status.Answer.Request != id {
		return r.waiting(b), nil
	}
	return r.take(ctx, b)
}

// invalid says what in the spec cannot be; "" for nothing.
func invalid(b *v1alpha1.Build) string {
	if _, err := name.NewRepository(b.Spec.Image); err != nil {
		return fmt.Sprintf("spec.image %q is not the name of a repository: %v. Write it like localhost:5000/apps/demo, without a tag.", b.Spec.Image, err)
	}
	for _, param := range b.Spec.Params {
		if param.Name != "main" {
			return fmt.Sprintf("There is no parameter %q: spec.params may have main, the package to build.", param.Name)
		}
	}
	return ""
}

func built(b *v1alpha1.Build) progress {
	return progress{status: metav1.ConditionTrue, reason: v1alpha1.ReasonBuilt, message: "built from " + called(b.Status.Latest.Source)}
}

// longDigest is a digest with more digits than people compare.
var longDigest = regexp.MustCompile(`(sha[0-9]+:[0-9a-f]{12})[0-9a-f]+`)

// called is what people call a source.
func called(source v1alpha1.BuildSource) string {
	return longDigest.ReplaceAllString(cmp.Or(source.Revision, sourceKey(source)), "$1")
}

// waiting is how far a request is that has no answer.
func (r *reconciler) waiting(b *v1alpha1.Build) progress {
	request, claim, now := b.Status.Request, b.Status.Claim, r.now()
	what := fmt.Sprintf("An image of %s is needed (%s)", called(request.Source), request.Reason)
	if claim != nil && claim.Request == request.ID && now.Before(claim.Until.Time) {
		message := fmt.Sprintf("%s, and %s builds it.", what, claim.By)
		if claim.Problem != "" {
			message += " It is tried again by itself, since the last try failed: " + claim.Problem
		}
		return progress{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonBuilding, message: message, after: claim.Until.Sub(now) + time.Second}
	}
	if left := request.Time.Add(patience).Sub(now); left > 0 {
		return progress{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonRequested, message: what + ".", after: left}
	}
	return progress{
		status: metav1.ConditionUnknown, reason: v1alpha1.ReasonNobodyBuilds,
		message: what + ", and nobody builds it. Run `slipway build --watch`, or `slipway dev DIR` with the folder of the source, on your machine.",
	}
}

// take makes of an answer the latest image, or a failure.
func (r *reconciler) take(ctx context.Context, b *v1alpha1.Build) (progress, error) {
	status, answer := &b.Status, b.Status.Answer
	if answer.Error != "" {
		status.Claim = nil
		return progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonBuildFailed, message: answer.Error}, nil
	}
	if problem, err := r.verify(ctx, b, answer.Image); problem != nil || err != nil {
		if problem == nil {
			return progress{}, err
		}
		status.Claim = nil
		return *problem, nil
	}
	made := status.Request.BuildInputs
	made.Base = ""
	status.LatestImage, status.LatestReason, status.Latest, status.Base = answer.Image, status.Request.Reason, &made, answer.Base
	status.Bases = answer.Bases
	if status.Base != nil {
		status.Base.Newest = ""
	}
	for i := range status.Bases {
		status.Bases[i].Newest = ""
	}
	status.Builds++
	status.Request, status.Claim, status.Answer = nil, nil, nil
	r.log.Info("built", "build", client.ObjectKeyFromObject(b).String(), "image", status.LatestImage, "cause", status.LatestReason)
	return built(b), nil
}

// verify looks for an image in the registry; nil means that it is there. An error means that the cluster could not be
// asked.
func (r *reconciler) verify(ctx context.Context, b *v1alpha1.Build, image string) (*progress, error) {
	target, err := pull.Parse(image, r.aliases)
	if err != nil || target.Digest == "" || target.Written != b.Spec.Image {
		return &progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonNotPushed,
			message: fmt.Sprintf("%s named %q, which is not an image of %s with its digest. %s", b.Status.Answer.By, image, b.Spec.Image, askAnew(b))}, nil
	}
	found, err := r.credentials.Find(ctx, pull.Puller{Namespace: b.Namespace, Account: b.Spec.ServiceAccountName}, target)
	if unusable, is := errors.AsType[*pull.UnusableError](err); is {
		return &progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonInvalidPullSecret, after: againAfter,
			message: fmt.Sprintf("The pull secrets %q cannot be read as registry credentials: %v", unusable.Names, unusable.Err)}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = r.registries.Digest(ctx, target.Asked, found.Auth)
	if err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return unseen(b, target, err), nil
}

// askAnew says how to have an image built once more.
func askAnew(b *v1alpha1.Build) string {
	return fmt.Sprintf("To have it built anew, run `slipway reconcile build/%s -n %s`, with `slipway build --watch` or `slipway dev` running.", b.Name, b.Namespace)
}

// unseen is what it means that a registry did not show an image.
func unseen(b *v1alpha1.Build, target pull.Target, err error) *progress {
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case answered && answer.StatusCode == http.StatusNotFound:
		return &progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonNotPushed, after: againAfter,
			message: fmt.Sprintf("%s says that it pushed %s, and the registry (asked as %s) does not have it. It is looked for again by itself. %s",
				b.Status.Answer.By, b.Status.Answer.Image, target.Registry(), askAnew(b))}
	case answered && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return &progress{status: metav1.ConditionFalse, reason: v1alpha1.ReasonUnauthorized, after: againAfter,
			message: fmt.Sprintf("The registry refuses to show %s: name a service account with pull secrets for it in spec.serviceAccountName.", b.Status.Answer.Image)}
	case answered:
		return &progress{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonUnreachable, after: againAfter,
			message: fmt.Sprintf("%s is built, but the registry answers %d %s. It is tried again by itself.", b.Status.Answer.Image, answer.StatusCode, http.StatusText(answer.StatusCode))}
	}
	return &progress{status: metav1.ConditionUnknown, reason: v1alpha1.ReasonUnreachable, after: againAfter,
		message: fmt.Sprintf("%s is built, but the registry (asked as %s) cannot be reached. It is tried again by itself.", b.Status.Answer.Image, target.Registry())}
}

// publish writes the status, unless it stands there already. One that was made of an older object than there is now is
// not written: what is newer wakes us.
func (r *reconciler) publish(ctx context.Context, before, b *v1alpha1.Build, now progress) error {
	b.Status.ObservedGeneration = b.Generation
	if now.status != metav1.ConditionUnknown {
		b.Status.LastHandledRequest = b.Annotations[v1alpha1.AnnotationRequestedAt]
	}
	meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: now.status, Reason: now.reason, Message: now.message, ObservedGeneration: b.Generation,
	})
	if equality.Semantic.DeepEqual(before.Status, b.Status) {
		return nil
	}
	err := r.client.Status().Patch(ctx, b, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the status of build %s: %w", client.ObjectKeyFromObject(b), err)
	}
	r.log.Info("build looked at", "build", client.ObjectKeyFromObject(b).String(), "reason", now.reason, "message", now.message)
	return nil
}
