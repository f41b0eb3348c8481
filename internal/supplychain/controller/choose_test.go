package controller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestChoose has the same cases for workloads and deliverables.
func TestChoose(t *testing.T) {
	web := map[string]string{"type": "web", "size": "s"}
	by := func(key string) v1alpha1.LegacySelector {
		return v1alpha1.LegacySelector{Selector: map[string]string{key: web[key]}}
	}
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}}
	broken := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "TemplatesNotFound", Message: "did not find"}}
	invalid := v1alpha1.LegacySelector{SelectorMatchExpressions: []metav1.LabelSelectorRequirement{{Key: "type", Operator: "Nonsense"}}}
	type candidate struct {
		selector   v1alpha1.LegacySelector
		conditions []metav1.Condition
		going      bool
	}
	for name, c := range map[string]struct {
		labels     map[string]string
		candidates []candidate
		// want is the condition of a supply chain, and of a delivery.
		want     [2]string
		unsettle bool
	}{
		"no labels": {candidates: []candidate{{selector: by("type")}}, want: [2]string{
			"SupplyChainReady=False WorkloadLabelsMissing workload has no labels to match to supply chain",
			"DeliveryReady=False DeliverableLabelsMissing deliverable has no labels to match to delivery"}},
		"none": {labels: web, want: [2]string{
			"SupplyChainReady=False SupplyChainNotFound no supply chain found where full selector is satisfied by labels: map[size:s type:web]",
			"DeliveryReady=False DeliveryNotFound no delivery found where full selector is satisfied by labels: map[size:s type:web]"}},
		"one that is going": {labels: web, candidates: []candidate{{selector: by("type"), going: true}}, want: [2]string{
			"SupplyChainReady=False SupplyChainNotFound no supply chain found where full selector is satisfied by labels: map[size:s type:web]",
			"DeliveryReady=False DeliveryNotFound no delivery found where full selector is satisfied by labels: map[size:s type:web]"}},
		"several": {labels: web, unsettle: true, candidates: []candidate{{selector: by("type")}, {selector: by("size")}}, want: [2]string{
			"SupplyChainReady=False MultipleSupplyChainMatches workload may only match a single supply chain's selector",
			"DeliveryReady=False MultipleDeliveryMatches deliverable may only match a single delivery's selector"}},
		"one that cannot be evaluated": {labels: web, unsettle: true, candidates: []candidate{{selector: invalid}}, want: [2]string{
			"SupplyChainReady=False SupplyChainNotFound no supply chain found where full selector is satisfied by labels: map[size:s type:web]; error handling selectors, selectorMatchExpressions or selectorMatchFields of [ClusterSupplyChain/a]: selector labels or matchExpressions are not valid: \"Nonsense\" is not a valid label selector operator",
			"DeliveryReady=False DeliveryNotFound no delivery found where full selector is satisfied by labels: map[size:s type:web]; error handling selectors, selectorMatchExpressions or selectorMatchFields of [ClusterDelivery/a]: selector labels or matchExpressions are not valid: \"Nonsense\" is not a valid label selector operator"}},
		"one that is ready beside one that cannot be evaluated": {labels: web, candidates: []candidate{{selector: invalid}, {selector: by("type"), conditions: ready}}, want: [2]string{
			"SupplyChainReady=True Ready ", "DeliveryReady=True Ready "}},
		"one that lacks templates": {labels: web, candidates: []candidate{{selector: by("type"), conditions: broken}}, want: [2]string{
			"SupplyChainReady=False TemplatesNotFound did not find", "DeliveryReady=False TemplatesNotFound did not find"}},
		"one that nobody has looked at": {labels: web, candidates: []candidate{{selector: by("type")}}, want: [2]string{
			"SupplyChainReady=Unknown Unknown supply chain not yet reconciled", "DeliveryReady=Unknown Unknown delivery not yet reconciled"}},
	} {
		for i, family := range []*family{supplyChains(), deliveries()} {
			var list []client.Object
			for place, given := range c.candidates {
				object := family.newBlueprint()
				object.SetName(string(rune('a' + place)))
				if given.going {
					object.SetDeletionTimestamp(&metav1.Time{})
				}
				switch b := object.(type) {
				case *v1alpha1.ClusterSupplyChain:
					b.Spec.LegacySelector, b.Status.Conditions = given.selector, given.conditions
				case *v1alpha1.ClusterDelivery:
					b.Spec.LegacySelector, b.Status.Conditions = given.selector, given.conditions
				}
				list = append(list, object)
			}
			family.blueprints = func(context.Context, client.Reader) ([]client.Object, error) { return list, nil }
			object := family.newOwner()
			object.SetLabels(c.labels)
			w := &owners{accounts: &accounts{}, family: family}
			found, problem := w.choose(t.Context(), ownerOf(object))
			var condition metav1.Condition
			if problem != nil {
				condition = problem.condition
				if problem.certain == c.unsettle {
					t.Errorf("%s, %s: certain %t", name, family.owner, problem.certain)
				}
			} else {
				condition = family.blueprintCondition(found)
			}
			got := condition.Type + "=" + string(condition.Status) + " " + condition.Reason + " " + condition.Message
			if diff := cmp.Diff(c.want[i], got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, family.owner, diff)
			}
		}
	}
}

func TestAccountOf(t *testing.T) {
	for name, c := range map[string]struct {
		owner string
		ref   v1alpha1.ServiceAccountRef
		want  string
	}{
		"the owner's":               {owner: "mine", ref: v1alpha1.ServiceAccountRef{Name: "theirs", Namespace: "ops"}, want: "dev/mine"},
		"the blueprint's":           {ref: v1alpha1.ServiceAccountRef{Name: "theirs"}, want: "dev/theirs"},
		"the blueprint's elsewhere": {ref: v1alpha1.ServiceAccountRef{Name: "theirs", Namespace: "ops"}, want: "ops/theirs"},
		"nobody's":                  {want: "dev/default"},
	} {
		meta := metav1.ObjectMeta{Namespace: "dev", Name: "web"}
		workload := &v1alpha1.Workload{ObjectMeta: meta, Spec: v1alpha1.WorkloadSpec{ServiceAccountName: c.owner}}
		chain := &v1alpha1.ClusterSupplyChain{Spec: v1alpha1.SupplyChainSpec{ServiceAccountRef: c.ref}}
		deliverable := &v1alpha1.Deliverable{ObjectMeta: meta, Spec: v1alpha1.DeliverableSpec{ServiceAccountName: c.owner}}
		delivery := &v1alpha1.ClusterDelivery{Spec: v1alpha1.DeliverySpec{ServiceAccountRef: c.ref}}
		for _, got := range []string{accountOf(ownerOf(workload), blueprintOf(chain)).String(), accountOf(ownerOf(deliverable), blueprintOf(delivery)).String()} {
			if got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
	}
}
