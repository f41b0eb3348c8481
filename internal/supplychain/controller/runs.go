package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
)

// runs are the runs of one Runnable, for one reconcile.
type runs struct {
	r        *runnables
	runnable *v1alpha1.Runnable
	template *v1alpha1.ClusterRunTemplate
	identity *identity.Identity

	all      []*unstructured.Unstructured // newest first
	resource string                       // what they are: plural.group
	told     []realize.Event
	// left is why runs are still there that are not kept; nil where there are none.
	left error
	// unwatched are the kinds, of the runs or of what is selected, of which no watch tells.
	unwatched []schema.GroupVersionResource
}

// ensure returns the newest run, which it stamps where what is to be run has changed, and deletes the runs that are
// not kept.
func (v *runs) ensure(ctx context.Context) (*unstructured.Unstructured, *runProblem) {
	selected, problem := v.selected(ctx)
	if problem != nil {
		return nil, problem
	}
	object, err := v.render(selected)
	if err != nil {
		return nil, &runProblem{reason: v1alpha1.ReasonTemplateStampFailure,
			err: fmt.Errorf("unable to stamp object for run template [%s]: %w", v.template.Name, err)}
	}
	mapping, err := v.r.stamped.mapping(object.GroupVersionKind())
	if err != nil {
		return nil, v.rejected(object, err)
	}
	v.resource = mapping.Resource.GroupResource().String()
	of := &siblings{
		stamped: v.r.stamped, identity: v.identity, mapping: mapping, namespace: v.runnable.Namespace, owner: v.runnable.UID,
		labels: map[string]string{v1alpha1.LabelRunnableName: realize.LabelValue(v.runnable.Name)},
	}
	all, made, err := of.ensure(ctx, object)
	if of.unwatched {
		v.unwatched = append(v.unwatched, mapping.Resource)
	}
	if err != nil {
		return nil, v.rejected(object, err)
	}
	if made {
		v.tell(realize.EventStampedObjectApplied, "Created object [%s/%s]", v.resource, all[0].GetName())
	}
	v.all = all
	removed, err := of.retain(ctx, all, v.runnable.Spec.RetentionPolicy, succeeded)
	for _, object := range removed {
		v.tell(realize.EventStampedObjectRemoved, "Deleted object [%s/%s]", v.resource, object.GetName())
	}
	if v.left = err; err != nil { // the run itself is not touched by it
		v.r.log.Warn("runs that are not kept cannot be deleted", "runnable", v.runnable.Name, "namespace", v.runnable.Namespace, "error", err)
	}
	return all[0], nil
}

func (v *runs) tell(reason, format string, arguments ...any) {
	v.told = append(v.told, realize.Event{Reason: reason, Message: fmt.Sprintf(format, arguments...)})
}

func (v *runs) rejected(object *unstructured.Unstructured, err error) *runProblem {
	name := object.GetName()
	if name == "" {
		name = object.GetGenerateName()
	}
	problem := &runProblem{reason: v1alpha1.ReasonStampedObjectRejected,
		err: fmt.Errorf("unable to apply object [%s/%s] for run template [%s]: %w", v.runnable.Namespace, name, v.template.Name, err)}
	if !apierrors.IsForbidden(err) {
		problem.retry = problem.err
	}
	return problem
}

// render makes the run that is wanted now.
func (v *runs) render(selected map[string]any) (*unstructured.Unstructured, error) {
	data := map[string]any{"runnable": v.runnable, "selected": nil}
	if selected != nil {
		data["selected"] = selected
	}
	rendered, err := template.Render(v.template.Spec.Template.Raw, data)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{Object: rendered}
	owner := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindRunnable, Name: v.runnable.Name, UID: v.runnable.UID}
	names := map[string]string{v1alpha1.LabelRunnableName: v.runnable.Name, v1alpha1.LabelRunTemplateName: v.template.Name}
	if err := realize.Own(object, owner, v.runnable.Namespace, names); err != nil {
		return nil, err
	}
	if object.GetName() == "" && object.GetGenerateName() == "" {
		return nil, errors.New("the template must set metadata.generateName")
	}
	return object, nil
}

// selected returns the object that the Runnable selects, nil where it has no selector.
func (v *runs) selected(ctx context.Context) (map[string]any, *runProblem) {
	selector := v.runnable.Spec.Selector
	if selector == nil {
		return nil, nil
	}
	object, err := v.selectOne(ctx, selector)
	if err == nil {
		return object.Object, nil
	}
	err = fmt.Errorf("unable to resolve selector [%v], apiVersion [%s], kind [%s]: %w",
		selector.MatchingLabels, selector.Resource.APIVersion, selector.Resource.Kind, err)
	if advice := v.adviceOn(selector, err); advice != "" {
		err = fmt.Errorf("%s (%w)", advice, err)
	}
	problem := &runProblem{reason: v1alpha1.ReasonTemplateStampFailure, err: err}
	// That none or several fit changes with the objects, which are watched. The rest may pass, or a kind may appear.
	if !errors.Is(err, errNotOne) && !apierrors.IsForbidden(err) {
		problem.retry = problem.err
	}
	return nil, problem
}

// A selector must fit one object. The words are Cartographer's.
var (
	errNotOne  = errors.New("selector")
	errNone    = fmt.Errorf("%w did not match any objects", errNotOne)
	errSeveral = fmt.Errorf("%w matched multiple objects", errNotOne)
)

// adviceOn says in plain words what to do about a selector that does not fit one object; "" for other errors.
func (v *runs) adviceOn(selector *v1alpha1.ResourceSelector, err error) string {
	kind := selector.Resource.Kind
	with := "with the labels " + labels.FormatLabels(selector.MatchingLabels)
	if mapping, unknown := v.r.stamped.mapping(schema.FromAPIVersionAndKind(selector.Resource.APIVersion, kind)); unknown == nil && mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		with += " in namespace " + v.runnable.Namespace
	}
	switch {
	case errors.Is(err, errNone):
		return fmt.Sprintf("there is no %s %s: make one, and this goes on by itself; `kubectl explain %s` tells what is in it", kind, with, strings.ToLower(kind))
	case errors.Is(err, errSeveral):
		return fmt.Sprintf("there is more than one %s %s: leave these labels to one of them, and this goes on by itself", kind, with)
	}
	return ""
}

func (v *runs) selectOne(ctx context.Context, selector *v1alpha1.ResourceSelector) (*unstructured.Unstructured, error) {
	kind := schema.FromAPIVersionAndKind(selector.Resource.APIVersion, selector.Resource.Kind)
	mapping, err := v.r.stamped.mapping(kind)
	if err != nil {
		return nil, err
	}
	// Watched first, so that what changes after the list wakes the Runnable.
	may, err := v.r.stamped.access.mayWatch(ctx, mapping.Resource)
	if err == nil && may {
		err = v.r.selected.watch(kind, mapping.Resource)
	} else if err == nil {
		v.unwatched = append(v.unwatched, mapping.Resource)
	}
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", kind, err)
	}
	// Two are enough to know that it is not one.
	list, err := v.list(ctx, mapping, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(selector.MatchingLabels).String(), Limit: 2})
	if err != nil {
		return nil, err
	}
	switch {
	case len(list.Items) == 1:
		return &list.Items[0], nil
	case len(list.Items) == 0:
		return nil, errNone
	default:
		return nil, errSeveral
	}
}

func (v *runs) list(ctx context.Context, mapping *meta.RESTMapping, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return (&cluster{identity: v.identity}).at(mapping, v.runnable.Namespace).List(ctx, options)
}

// succeeded is the health of a run.
func succeeded(run *unstructured.Unstructured) metav1.ConditionStatus {
	said := realize.ObjectCondition(run, conditionSucceeded)
	if said == nil || (said.Status != metav1.ConditionTrue && said.Status != metav1.ConditionFalse) {
		return metav1.ConditionUnknown
	}
	return said.Status
}

// publishOutputs reads the outputs of the newest run that succeeded. Where none did, or an output cannot be read, the
// outputs stay as they are: who uses them is better off with the last good ones than with none.
func (v *runs) publishOutputs(out *ran, newest *unstructured.Unstructured) *runProblem {
	at := slices.IndexFunc(v.all, func(run *unstructured.Unstructured) bool { return succeeded(run) == metav1.ConditionTrue })
	if at < 0 {
		return nil
	}
	from := v.all[at]
	outputs := map[string]apiextensionsv1.JSON{}
	for _, name := range slices.Sorted(maps.Keys(v.template.Spec.Outputs)) {
		path := v.template.Spec.Outputs[name]
		value, err := template.Lookup(path, from.Object)
		var encoded []byte
		if err == nil {
			encoded, err = json.Marshal(value)
		}
		if err != nil {
			return v.unreadable(newest, from, path, err)
		}
		outputs[name] = apiextensionsv1.JSON{Raw: encoded}
	}
	if len(outputs) == 0 || sameValues(outputs, out.status.Outputs) {
		return nil
	}
	out.status.Outputs = outputs
	out.events = append(out.events, realize.Event{Reason: realize.EventOutputChanged,
		Message: fmt.Sprintf("Runnable [%s] found a new output in [%s/%s]", v.runnable.Name, v.resource, from.GetName())})
	return nil
}

func (v *runs) unreadable(newest, from *unstructured.Unstructured, path string, err error) *runProblem {
	err = fmt.Errorf("unable to retrieve outputs from stamped object [%s/%s] of type [%s] for run template [%s]: failed to evaluate path [%s]: %w",
		newest.GetNamespace(), newest.GetName(), v.resource, v.template.Name, path, err)
	return &runProblem{reason: v1alpha1.ReasonOutputPathNotSatisfied, err: err,
		message: fmt.Sprintf("waiting to read value from resource [%s/%s] in namespace [%s]: %v", v.resource, from.GetName(), from.GetNamespace(), err)}
}

// sameRunnableStatus compares outputs by what they mean: the API server writes JSON in its own way.
func sameRunnableStatus(a, b v1alpha1.RunnableStatus) bool {
	same := sameValues(a.Outputs, b.Outputs)
	a.Outputs, b.Outputs = nil, nil
	return same && equality.Semantic.DeepEqual(a, b)
}

func sameValues(a, b map[string]apiextensionsv1.JSON) bool {
	return maps.EqualFunc(a, b, func(a, b apiextensionsv1.JSON) bool {
		var first, second any
		return json.Unmarshal(a.Raw, &first) == nil && json.Unmarshal(b.Raw, &second) == nil && reflect.DeepEqual(first, second)
	})
}
