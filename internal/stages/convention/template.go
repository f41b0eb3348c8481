package convention

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
)

// decode reads a pod template, and refuses fields that it does not have: they would be lost without a word.
func decode(raw runtime.RawExtension) (*corev1.PodTemplateSpec, error) {
	template := &corev1.PodTemplateSpec{}
	strict, err := kjson.UnmarshalStrict(raw.Raw, template)
	if err != nil {
		return nil, fmt.Errorf("spec.template is not a pod template: %w", err)
	}
	if len(strict) > 0 {
		return nil, fmt.Errorf("spec.template is not a pod template: %w", errors.Join(strict...))
	}
	return template, nil
}

func encode(template *corev1.PodTemplateSpec) (*runtime.RawExtension, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("writing the pod template: %w", err)
	}
	return &runtime.RawExtension{Raw: raw}, nil
}

// imagesOf are the images of a template, each once, sorted; containers without one are passed over.
func imagesOf(template *corev1.PodTemplateSpec) []string {
	var images []string
	for _, container := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
		if container.Image != "" {
			images = append(images, container.Image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// rename gives the containers that run an image another name for it.
func rename(template *corev1.PodTemplateSpec, image, to string) {
	for _, containers := range [][]corev1.Container{template.Spec.InitContainers, template.Spec.Containers} {
		for i := range containers {
			if containers[i].Image == image {
				containers[i].Image = to
			}
		}
	}
}
