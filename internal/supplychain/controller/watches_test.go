package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// both returns a workload and a supply chain, and a deliverable and a delivery, that are alike.
func both(labels, selector map[string]string, key, realizedBy string) [][2]client.Object {
	meta := metav1.ObjectMeta{Name: "web", Namespace: "dev", Labels: labels}
	by := v1alpha1.LegacySelector{Selector: selector}
	if key != "" {
		by.SelectorMatchFields = []v1alpha1.FieldSelectorRequirement{{Key: key, Operator: v1alpha1.FieldExists}}
	}
	ref := v1alpha1.ObjectReference{Name: realizedBy}
	named := metav1.ObjectMeta{Name: "blueprint"}
	return [][2]client.Object{
		{&v1alpha1.Workload{ObjectMeta: meta, Status: v1alpha1.WorkloadStatus{SupplyChainRef: ref}},
			&v1alpha1.ClusterSupplyChain{ObjectMeta: named, Spec: v1alpha1.SupplyChainSpec{LegacySelector: by}}},
		{&v1alpha1.Deliverable{ObjectMeta: meta, Status: v1alpha1.DeliverableStatus{DeliveryRef: ref}},
			&v1alpha1.ClusterDelivery{ObjectMeta: named, Spec: v1alpha1.DeliverySpec{LegacySelector: by}}},
	}
}

func TestBlueprintWakesOnlyWhomItConcerns(t *testing.T) {
	web, job := map[string]string{"type": "web"}, map[string]string{"type": "job"}
	for name, c := range map[string]struct {
		labels, selector map[string]string
		key, realizedBy  string
		want             bool
	}{
		"fits":                             {labels: web, selector: web, want: true},
		"does not fit":                     {labels: web, selector: job},
		"did fit":                          {labels: web, selector: job, realizedBy: "blueprint", want: true},
		"belongs to another":               {labels: web, selector: job, realizedBy: "other"},
		"cannot be evaluated, and waits":   {labels: web, selector: web, key: "spec.params[", want: true},
		"cannot be evaluated, and is well": {labels: web, selector: web, key: "spec.params[", realizedBy: "other"},
	} {
		for _, pair := range both(c.labels, c.selector, c.key, c.realizedBy) {
			if got := concerned(blueprintOf(pair[1]), ownerOf(pair[0])); got != c.want {
				t.Errorf("%s, %T: %t, want %t", name, pair[0], got, c.want)
			}
		}
	}
}

func TestStatusWakesNobodyByItself(t *testing.T) {
	for _, pair := range both(nil, nil, "", "") {
		owner, by := pair[0], pair[1]
		changed, ok := owner.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatal("no object")
		}
		*ownerOf(changed).blueprint = v1alpha1.ObjectReference{Name: "other"}
		ownerOf(changed).status.ObservedGeneration = 3
		changed.SetResourceVersion("7")
		if moreThanStatus().Update(event.UpdateEvent{ObjectOld: owner, ObjectNew: changed}) {
			t.Errorf("%T: a status woke its owner", owner)
		}
		changed.SetLabels(map[string]string{"a": "b"})
		if !moreThanStatus().Update(event.UpdateEvent{ObjectOld: owner, ObjectNew: changed}) {
			t.Errorf("%T: labels woke nobody", owner)
		}

		judged, ok := by.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatal("no object")
		}
		*blueprintOf(judged).conditions = []metav1.Condition{{Type: "Other", Status: "True"}}
		if blueprintMatters().Update(event.UpdateEvent{ObjectOld: by, ObjectNew: judged}) {
			t.Errorf("%T: a condition that concerns nobody woke owners", by)
		}
		*blueprintOf(judged).conditions = []metav1.Condition{{Type: "Ready", Status: "True"}}
		if !blueprintMatters().Update(event.UpdateEvent{ObjectOld: by, ObjectNew: judged}) {
			t.Errorf("%T: Ready woke nobody", by)
		}
	}
}
