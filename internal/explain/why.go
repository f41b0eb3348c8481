package explain

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Why says in one paragraph why a workload or deliverable is not Ready, or that it is. Times are counted up to now.
func Why(namespace string, root *Node, now time.Time) string {
	name := fmt.Sprintf("%s %s/%s", root.Kind, namespace, root.Name)
	trouble := root.cause()
	if trouble == nil && root.State == metav1.ConditionTrue {
		return fmt.Sprintf("%s is Ready%s: %s %s has brought it all the way.", name, lasting(root, now), root.BlueprintWord(), root.Blueprint)
	}
	if trouble == nil || trouble == root {
		return sentence(fmt.Sprintf("%s is not Ready%s: %s", name, lasting(root, now), because(root)))
	}
	is := "is not Ready"
	if root.State == metav1.ConditionTrue {
		is = "is Ready, but what has come of it is not"
		if root.Kind == v1alpha1.KindWorkload {
			is = "is Ready, but what it was delivered to is not"
		}
	}
	text := fmt.Sprintf("%s %s, because %s %s", name, is, title(trouble), verb(trouble, now))
	switch held := root.waitingFor(trouble); len(held) {
	case 0:
	case 1:
		text += ", and " + held[0] + " waits for it"
	default:
		text += ", and " + strings.Join(held, ", ") + " wait for it"
	}
	return sentence(text+": "+because(trouble)) + advice(namespace, root, trouble)
}

func verb(node *Node, now time.Time) string {
	if node.State != metav1.ConditionFalse {
		return "is not there yet" + lasting(node, now)
	}
	if age := age(node, now); age != "" {
		return "has failed (" + age + " ago)"
	}
	return "has failed"
}

func title(node *Node) string {
	if node.Kind == "" {
		return "stage " + node.Name
	}
	if node.isMade() {
		return fmt.Sprintf("%s %s", node.Kind, node.Object)
	}
	return fmt.Sprintf("stage %s (%s %s)", node.Name, node.Kind, node.Object)
}

func because(node *Node) string {
	message := strings.TrimPrefix(node.Message, "pod "+node.Object+": ") // it has been named
	return cmp.Or(strings.TrimSpace(message), node.Reason, "nothing is said about it yet")
}

func sentence(text string) string {
	if strings.ContainsAny(text[len(text)-1:], ".!?") || strings.Contains(text, "\n") {
		return text
	}
	return text + "."
}

func lasting(node *Node, now time.Time) string {
	if age := age(node, now); age != "" {
		return " (for " + age + ")"
	}
	return ""
}

// age is how long a node has been as it is; "" when that is not known.
func age(node *Node, now time.Time) string {
	if node.Since == nil || now.Before(*node.Since) {
		return ""
	}
	return Age(now.Sub(*node.Since))
}

// Age is a duration as people say it: 12s, 3m, 4h, 2d.
func Age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func (n *Node) walk(visit func(*Node)) {
	for _, child := range n.Children {
		visit(child)
		child.walk(visit)
	}
}

// cause is the node that explains why the others are not Ready: what has failed beats what is on its way; what a stage
// has made explains more than the stage; of several, the first counts. nil means that all are Ready.
func (n *Node) cause() *Node {
	var failed, waiting *Node
	var look func(*Node)
	look = func(node *Node) {
		made, next := split(node)
		before := [2]*Node{failed, waiting}
		for _, child := range made {
			look(child)
		}
		explained := failed != before[0] || waiting != before[1] && node.State != metav1.ConditionFalse
		switch {
		case node.State == metav1.ConditionTrue, explained:
		case node.State == metav1.ConditionFalse && failed == nil:
			failed = node
		case node.State != metav1.ConditionFalse && waiting == nil:
			waiting = node
		}
		for _, child := range next {
			look(child)
		}
	}
	var last []*Node
	for _, child := range n.Children {
		if child.Kind == v1alpha1.KindDeliverable {
			last = append(last, child)
			continue
		}
		look(child)
	}
	if failed == nil && waiting == nil {
		// A delivery speaks of what was written before, or misses what is yet to be, until the stages before it are Ready.
		for _, child := range last {
			look(child)
		}
	}
	if failed != nil {
		return failed
	}
	if waiting != nil {
		return waiting
	}
	if n.State != metav1.ConditionTrue {
		return n
	}
	return nil
}

// split tells what a stage has made from the stages that take something from it.
func split(node *Node) (made, next []*Node) {
	if node.Kind == v1alpha1.KindDeliverable {
		return node.Children, nil
	}
	for _, child := range node.Children {
		if child.isMade() {
			made = append(made, child)
		} else {
			next = append(next, child)
		}
	}
	return made, next
}

// isMade says whether a node is no stage.
func (n *Node) isMade() bool { return n.made || n.Kind == "Pod" || n.Kind == "TestRun" }

// waitingFor are the stages below the one that is, or has made, the trouble, as far as they are not Ready either.
func (n *Node) waitingFor(trouble *Node) []string {
	var stage *Node
	n.walk(func(node *Node) {
		made, _ := split(node)
		for _, child := range made {
			if child == trouble {
				stage = node
			}
		}
		if node == trouble && stage == nil {
			stage = node
		}
	})
	if stage == nil {
		return nil
	}
	var names []string
	stage.walk(func(node *Node) {
		if node.State != metav1.ConditionTrue && node != trouble && !node.isMade() {
			names = append(names, node.Name)
		}
	})
	return names
}

// BlueprintWord is what users call the blueprint of a workload or deliverable.
func (n *Node) BlueprintWord() string {
	if n.Kind == v1alpha1.KindDeliverable {
		return "delivery"
	}
	return "supply chain"
}

// AllReady says whether a workload or deliverable is Ready, and all that came of it.
func (n *Node) AllReady() bool { return n.State == metav1.ConditionTrue && n.cause() == nil }
