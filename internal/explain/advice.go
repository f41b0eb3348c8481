package explain

import (
	"fmt"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// refused is how the API server names a service account that may not do something of what the stages in a workload's
// namespace do.
var refused = regexp.MustCompile(`User "system:serviceaccount:([^:"]+):([^:"]+)" cannot [a-z]+ resource "(?:testplans|testruns|jobs|serviceaccounts)"`)

// advice is what to do about a trouble, on a line of its own; "" where the trouble says it itself.
func advice(namespace string, root, trouble *Node) string {
	if trouble.Kind == "TestRun" && trouble.State == metav1.ConditionFalse && root.Kind == v1alpha1.KindWorkload {
		if stage := root.makerOf(trouble); stage != nil {
			return fmt.Sprintf("\n`slipway logs %s -n %s --stage %s` shows all that was said.", root.Name, namespace, stage.Name)
		}
	}
	if account := refused.FindStringSubmatch(trouble.Message); account != nil && account[1] == namespace {
		return fmt.Sprintf("\n`kubectl create rolebinding slipway-workload -n %s --clusterrole=slipway-workload --serviceaccount=%s:%s` allows what the stages of a workload need.",
			namespace, account[1], account[2])
	}
	return ""
}

// makerOf is the stage that has made a node.
func (n *Node) makerOf(of *Node) *Node {
	var stage *Node
	n.walk(func(node *Node) {
		for _, child := range node.Children {
			if child == of && !node.isMade() {
				stage = node
			}
		}
	})
	return stage
}
