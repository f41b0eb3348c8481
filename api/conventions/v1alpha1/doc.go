// Package v1alpha1 holds the kinds of conventions.carto.run/v1alpha1: a PodIntent, which asks for conventions to be
// applied to a pod template, and the ClusterPodConventions that are. It is compatible with the kinds of the same name in
// Cartographer Conventions; what they do is in internal/stages/convention.
//
// +kubebuilder:object:generate=true
// +groupName=conventions.carto.run
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind here.
var GroupVersion = schema.GroupVersion{Group: "conventions.carto.run", Version: "v1alpha1"}

// AddToScheme makes the kinds known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &PodIntent{}, &PodIntentList{}, &ClusterPodConvention{}, &ClusterPodConventionList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
