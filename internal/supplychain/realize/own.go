package realize

import (
	"errors"

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
