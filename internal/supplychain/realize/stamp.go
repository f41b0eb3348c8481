package realize

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// stamp renders the template for a resource and makes the object the owner's own: beside it, owned by it, labelled.
func (r *run) stamp(ctx context.Context, resource Link, from *Template) (*unstructured.Unstructured, error) {
	params, err := template.Params(template.ParamSources{
		Template: from.Spec.Params, Chain: r.blueprint.Params, Resource: resource.Params, Owner: r.owner.Params,
		ChainKind: r.blueprint.Kind, OwnerKind: r.owner.Kind,
	})
	if err != nil {
		return nil, err
	}
	names := r.labels(resource, from)
	rendered, err := r.cluster.Render(ctx, &from.Spec, r.context(resource, params, names))
	if err != nil {
		return nil, r.waitsFor(resource, err)
	}
	return r.own(&unstructured.Unstructured{Object: rendered}, names, from.lifecycle() != v1alpha1.LifecycleMutable)
}

func (r *run) own(object *unstructured.Unstructured, names map[string]string, generated bool) (*unstructured.Unstructured, error) {
	of := r.owner.Object
	owner := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: r.owner.Kind, Name: of.GetName(), UID: of.GetUID()}
	if err := Own(object, owner, of.GetNamespace(), names); err != nil {
		return nil, err
	}
	switch {
	case object.GetName() != "":
	case !generated:
		return nil, errors.New("the template must set metadata.name")
	case object.GetGenerateName() == "":
		return nil, errors.New("the template must set metadata.generateName")
	}
	return object, nil
}

// LabelValue returns value where it may be the value of a label; else a shortened form of it that ends in a hash.
// Stamped objects then carry the full value in an annotation of the label's name.
func LabelValue(value string) string {
	if len(validation.IsValidLabelValue(value)) == 0 {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	hash := hex.EncodeToString(sum[:])[:8]
	legal := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			return c
		}
		return '-'
	}, value)
	legal = strings.TrimLeft(legal, "-_.")
	if limit := validation.LabelValueMaxLength - len(hash) - 1; len(legal) > limit {
		legal = legal[:limit]
	}
	if legal == "" {
		return hash
	}
	return legal + "-" + hash
}

// context is what the paths of a template can lead to.
func (r *run) context(resource Link, params map[string]any, names map[string]string) map[string]any {
	labels := make(map[string]string, len(names))
	for key, value := range names {
		labels[key] = LabelValue(value)
	}
	sources, images, configs := r.inputs(resource.Sources, sourceValue), r.inputs(resource.Images, imageValue), r.inputs(resource.Configs, configValue)
	context := map[string]any{
		"workload": r.owner.Object, "deliverable": r.owner.Object, // templates in use know the owner by either name
		"params": params, "labels": labels, "deployment": nil,
		"sources": sources, "images": images, "configs": configs,
	}
	if deployment, ok := r.deployment(resource); ok {
		deployment["name"] = ""
		context["deployment"] = deployment
	}
	if only, ok := single(resource.Sources, sources); ok {
		context["source"] = only
	}
	if only, ok := single(resource.Images, images); ok {
		context["image"] = only[outputImage]
	}
	if only, ok := single(resource.Configs, configs); ok {
		context["config"] = only[outputConfig]
	}
	return context
}

// deployment returns the source that a resource deploys, where it is there.
func (r *run) deployment(resource Link) (map[string]any, bool) {
	if resource.Deployment == nil {
		return nil, false
	}
	return sourceValue(r.produced[resource.Deployment.Resource])
}

// single returns the input where exactly one is declared and it is there.
func single(declared []v1alpha1.ResourceReference, found map[string]any) (map[string]any, bool) {
	if len(declared) != 1 {
		return nil, false
	}
	input, ok := found[declared[0].Name].(map[string]any)
	return input, ok
}

// inputs returns, under the names that the resource gives them, the inputs that are there.
func (r *run) inputs(declared []v1alpha1.ResourceReference, of func(values) (map[string]any, bool)) map[string]any {
	found := map[string]any{}
	for _, input := range declared {
		if value, ok := of(r.produced[input.Resource]); ok {
			value["name"] = input.Name
			found[input.Name] = value
		}
	}
	return found
}

func sourceValue(from values) (map[string]any, bool) {
	url, ok := from[outputURL]
	return map[string]any{outputURL: url, outputRevision: from[outputRevision]}, ok
}

func imageValue(from values) (map[string]any, bool) {
	image, ok := from[outputImage]
	return map[string]any{outputImage: image}, ok
}

func configValue(from values) (map[string]any, bool) {
	config, ok := from[outputConfig]
	return map[string]any{outputConfig: config}, ok
}
