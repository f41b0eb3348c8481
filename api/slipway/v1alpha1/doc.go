// Package v1alpha1 holds the kinds of slipway.dev/v1alpha1: the stages that slipway's own supply chains stamp.
// It is data and registration only; what a kind does is in the package of its stage under internal/stages.
//
// +kubebuilder:object:generate=true
// +groupName=slipway.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind here.
var GroupVersion = schema.GroupVersion{Group: "slipway.dev", Version: "v1alpha1"}

// AddToScheme makes the kinds known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Build{}, &BuildList{}, &Image{}, &ImageList{}, &Source{}, &SourceList{}, &GitCommit{}, &GitCommitList{}, &Release{}, &ReleaseList{}, &TestPlan{}, &TestPlanList{}, &TestRun{}, &TestRunList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
