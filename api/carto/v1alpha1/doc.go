// Package v1alpha1 holds the kinds of carto.run/v1alpha1 that slipway's choreographer serves: workloads, deliverables,
// runnables, and the supply chains, deliveries and templates that say what becomes of them, with the same fields as Cartographer's. It is data and registration only; what the kinds mean is in
// internal/supplychain.
//
// The schema is as lenient as Cartographer's on purpose: rules beyond it belong to admission, and the controller must
// live with objects that break them.
//
// +kubebuilder:object:generate=true
// +groupName=carto.run
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind here.
var GroupVersion = schema.GroupVersion{Group: "carto.run", Version: "v1alpha1"}

// AddToScheme makes the kinds known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Workload{}, &WorkloadList{},
		&ClusterSupplyChain{}, &ClusterSupplyChainList{},
		&Deliverable{}, &DeliverableList{},
		&ClusterDelivery{}, &ClusterDeliveryList{},
		&Runnable{}, &RunnableList{},
		&ClusterSourceTemplate{}, &ClusterSourceTemplateList{},
		&ClusterImageTemplate{}, &ClusterImageTemplateList{},
		&ClusterConfigTemplate{}, &ClusterConfigTemplateList{},
		&ClusterDeploymentTemplate{}, &ClusterDeploymentTemplateList{},
		&ClusterTemplate{}, &ClusterTemplateList{},
		&ClusterRunTemplate{}, &ClusterRunTemplateList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
