package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

// failure is why a Release is not as it is to be. Its message is the same for each attempt that ends alike, since the status
// is written whenever it changes.
type failure struct {
	reason  string
	message string
}

func (f *failure) Error() string { return f.message }

func failed(reason, format string, arguments ...any) *failure {
	return &failure{reason: reason, message: fmt.Sprintf(format, arguments...)}
}

// resources is the API as the account sees it, for one object.
func (t target) in(api dynamic.Interface) dynamic.ResourceInterface {
	if t.name.Namespace == "" {
		return api.Resource(t.resource)
	}
	return api.Resource(t.resource).Namespace(t.name.Namespace)
}

// members are what the Release names, in order, and which of those are of kinds that are not known yet.
func (r *reconciler) members(release *v1alpha1.Release, objects []*unstructured.Unstructured) (known []target, unknown []v1alpha1.ReleasedObject, err error) {
	seen := make(map[v1alpha1.ReleasedObject]bool, len(objects))
	for _, object := range inOrder(objects) {
		found, isUnknown, err := r.locate(release, object)
		if err != nil {
			return nil, nil, err
		}
		if isUnknown && !slices.ContainsFunc(objects, func(other *unstructured.Unstructured) bool { return defines(other, found.name) }) {
			return nil, nil, failed(v1alpha1.ReasonApplyFailed, "%s: the cluster does not know this kind (%s/%s). Install what brings it first.", called(found.name), found.name.Group, found.name.Version)
		}
		if seen[unversioned(found.name)] {
			return nil, nil, failed(v1alpha1.ReasonUnpackable, "%s is there twice.", called(found.name))
		}
		seen[unversioned(found.name)] = true
		if isUnknown {
			unknown = append(unknown, found.name)
		} else {
			known = append(known, found)
		}
	}
	return known, unknown, nil
}

// try asks whether all members would be taken, so that a revision with a mistake changes nothing. It returns those that
// would; the others cannot be judged before the waves that they need are applied.
func (r *reconciler) try(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, members []target) (map[v1alpha1.ReleasedObject]bool, error) {
	passed, trial := map[v1alpha1.ReleasedObject]bool{}, &trial{release: release, members: members, new: map[v1alpha1.ReleasedObject]bool{}}
	for _, member := range members {
		name := unversioned(member.name)
		before, err := r.claim(ctx, api, release, member)
		var after *unstructured.Unstructured
		if err == nil {
			after, err = r.applyOne(ctx, api, release, member, metav1.DryRunAll)
		}
		switch {
		case err == nil:
			passed[name] = true
			trial.new[name] = alters(before, after)
		case trial.early(member, err):
			trial.new[name] = true
		default:
			return nil, refused(member.name, err)
		}
	}
	return passed, nil
}

// advance applies the waves that are not applied yet. It stops before one for which something is waited for, and says for
// what.
func (r *reconciler) advance(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, members []target, unknown []v1alpha1.ReleasedObject, made *content) (behind *v1alpha1.ReleasedObject, now health, err error) {
	for ; made.next < len(waves); made.next++ {
		if made.next == 1 {
			definitions := slices.DeleteFunc(slices.Clone(members), func(member target) bool { return waveOf(member.name) > 0 })
			if missing, now, err := r.look(ctx, api, definitions); err != nil || missing != nil {
				made.reached = r.now()
				return nameIn(missing), now, err
			}
		}
		if i := slices.IndexFunc(unknown, func(name v1alpha1.ReleasedObject) bool { return waveOf(name) == made.next }); i >= 0 {
			made.reached = r.now()
			return &unknown[i], waiting("its kind is not known yet"), nil
		}
		if behind, now, err := r.applyWave(ctx, api, release, members, made); err != nil || behind != nil {
			return behind, now, err
		}
		made.reached = r.now()
	}
	return r.applyLast(ctx, api, release, members, made)
}

// applyWave applies the next wave, after all of it that was not tried before is.
func (r *reconciler) applyWave(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, members []target, made *content) (*v1alpha1.ReleasedObject, health, error) {
	trial := &trial{release: release, members: members}
	for i, member := range members {
		if waveOf(member.name) != made.next || made.passed[unversioned(member.name)] {
			continue
		}
		err := r.tryOne(ctx, api, release, member)
		switch {
		case err == nil:
			made.passed[unversioned(member.name)] = true
		case trial.webhookOf(err):
			// It is left for when the rest is ready.
		case trial.early(member, err) && r.now().Sub(made.reached) < catchUp:
			return &members[i].name, waiting("%s", pull.Text(err)), nil
		default:
			return nil, health{}, refused(member.name, err)
		}
	}
	for _, member := range members {
		if waveOf(member.name) != made.next || !made.passed[unversioned(member.name)] {
			continue
		}
		if _, err := r.applyOne(ctx, api, release, member); err != nil {
			return nil, health{}, refused(member.name, err)
		}
	}
	return nil, health{}, nil
}

// applyLast applies what webhooks of the revision kept from being tried, once all else is ready.
func (r *reconciler) applyLast(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, members []target, made *content) (*v1alpha1.ReleasedObject, health, error) {
	var first, last []target
	for _, member := range members {
		if made.passed == nil || made.passed[unversioned(member.name)] {
			first = append(first, member)
		} else {
			last = append(last, member)
		}
	}
	if len(last) == 0 {
		made.passed = nil
		return nil, health{}, nil
	}
	if missing, now, err := r.look(ctx, api, first); err != nil || missing != nil {
		return nameIn(missing), now, err
	}
	for _, member := range last {
		err := r.tryOne(ctx, api, release, member)
		if err == nil {
			_, err = r.applyOne(ctx, api, release, member)
		}
		if err != nil {
			return nil, health{}, refused(member.name, err)
		}
		made.passed[unversioned(member.name)] = true
	}
	made.passed = nil
	return nil, health{}, nil
}

func nameIn(member *target) *v1alpha1.ReleasedObject {
	if member == nil {
		return nil
	}
	return &member.name
}

func (r *reconciler) tryOne(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, member target) error {
	if _, err := r.claim(ctx, api, release, member); err != nil {
		return err
	}
	_, err := r.applyOne(ctx, api, release, member, metav1.DryRunAll)
	return err
}

func (r *reconciler) applyOne(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, member target, dryRun ...string) (*unstructured.Unstructured, error) {
	object := member.object.DeepCopy()
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelPartOf] = idOf(release)
	object.SetLabels(labels)
	if member.name.Namespace == release.Namespace {
		object.SetOwnerReferences([]metav1.OwnerReference{ownerOf(release)})
	}
	return member.in(api).Apply(ctx, member.name.Name, object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun})
}

// claim refuses an object that is another set's, and returns it as it is, nil when it is not there.
func (r *reconciler) claim(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, member target) (*unstructured.Unstructured, error) {
	found, err := member.in(api).Get(ctx, member.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	other := found.GetLabels()[labelPartOf]
	if other == "" || other == idOf(release) {
		return found, nil
	}
	var owners v1alpha1.ReleaseList
	if err := r.client.List(ctx, &owners, client.MatchingLabels{labelSet: other}); err != nil {
		return nil, fmt.Errorf("looking for the release of set %s: %w", other, err)
	}
	for _, owner := range owners.Items {
		if idOf(&owner) == other {
			return nil, failed(v1alpha1.ReasonApplyFailed, "%s belongs to Release %s/%s: one object is released in one place.", called(member.name), owner.Namespace, owner.Name)
		}
	}
	return nil, failed(v1alpha1.ReasonApplyFailed, "%s belongs to another ApplySet, %s, which is no Release's: take its label %s off to release it here.", called(member.name), other, labelPartOf)
}

// answered says whether an error is the API server's answer about an object, and not that it is busy or away.
func answered(err error) bool {
	answer := apierrors.APIStatus(nil)
	if errors.As(err, &answer) && strings.Contains(answer.Status().Message, "failed to create typed patch object") {
		return true // a field that the kind does not have is told as an internal error
	}
	return errors.As(err, &answer) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTooManyRequests(err) &&
		!apierrors.IsInternalError(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsUnauthorized(err)
}

// refused says which object the API server does not take, and why. What is no answer of it is passed on.
func refused(name v1alpha1.ReleasedObject, err error) error {
	if _, is := errors.AsType[*failure](err); is {
		return err
	}
	if !answered(err) {
		return fmt.Errorf("applying %s: %w", called(name), err)
	}
	answer := apierrors.APIStatus(nil)
	errors.As(err, &answer)
	if lacksRight(err) || escalates(err) {
		return failed(v1alpha1.ReasonForbidden, "%s: %s. Allow it with a RoleBinding, to the ClusterRole slipway-deliverable of profile testing or to a role of your own.", called(name), answer.Status().Message)
	}
	if notServed(err) {
		return failed(v1alpha1.ReasonApplyFailed, "%s: the cluster serves this kind no more as %s/%s: write it with a version that `kubectl api-resources` shows.", called(name), name.Group, name.Version)
	}
	return failed(v1alpha1.ReasonApplyFailed, "%s: %s", called(name), answer.Status().Message)
}
