package realize

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Own makes a rendered object one of owner's, which it changes: beside the owner in its namespace, controlled by it and
// by nobody else, and labelled with names. A name that no label can hold is shortened there and stands in full in an
// annotation of the label's name. What is no object, or sets another namespace, is an error; that the object has a name
// is not looked at.
func Own(object *unstructured.Unstructured, owner metav1.OwnerReference, namespace string, names map[string]string) error {
	if object.GetKind() == "" || object.GetAPIVersion() == "" {
		return errors.New("the template renders no object: it must set apiVersion and kind")
	}
	if metadata, found := object.Object["metadata"]; found {
		if _, ok := metadata.(map[string]any); !ok {
			return errors.New("the template renders no object: metadata must be an object")
		}
	}
	// Labels and annotations that are not as they should be would be lost as a whole when more are added to them.
	for _, field := range []string{"labels", "annotations"} {
		if err := onlyStrings(object, field); err != nil {
			return err
		}
	}
	if set := object.GetNamespace(); set != "" && set != namespace {
		return errors.New("cannot set namespace in resource template")
	}
	object.SetNamespace(namespace)
	controller := true
	owner.Controller, owner.BlockOwnerDeletion = &controller, &controller
	object.SetOwnerReferences([]metav1.OwnerReference{owner})
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range names {
		labels[key] = LabelValue(value)
		if labels[key] == value {
			continue
		}
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = value
	}
	object.SetLabels(labels)
	if annotations != nil {
		object.SetAnnotations(annotations)
	}
	return nil
}

// onlyStrings checks that a field of an object's metadata, where it is set, is a map of strings. What is null in it is
// dropped: a path that leads to an unset field renders to that.
func onlyStrings(object *unstructured.Unstructured, field string) error {
	set, _, err := unstructured.NestedFieldNoCopy(object.Object, "metadata", field)
	if err != nil || set == nil {
		return err
	}
	values, ok := set.(map[string]any)
	if !ok {
		return fmt.Errorf("metadata.%s must be an object, and is %v", field, set)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch value := values[key].(type) {
		case string:
		case nil:
			delete(values, key)
		default:
			return fmt.Errorf("metadata.%s.%s must be a string, and is %v", field, key, value)
		}
	}
	return nil
}
