package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/kube"
)

// Workload is the state of a workload and of the stages of its supply chain.
type Workload struct {
	Namespace   string  `json:"namespace"`
	Name        string  `json:"name"`
	Ready       bool    `json:"ready"`
	Reason      string  `json:"reason,omitempty"`
	Message     string  `json:"message,omitempty"`
	SupplyChain string  `json:"supplyChain,omitempty"`
	URL         string  `json:"url,omitempty"` // where the app answers, when its chain gives it an ingress
	Stages      []Stage `json:"stages"`
}

// Stage is the state of one resource of a supply chain.
type Stage struct {
	Name    string `json:"name"`             // the resource's
	Kind    string `json:"kind,omitempty"`   // of what it stamped
	Object  string `json:"object,omitempty"` // the name of that
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// readWorkloads fills in the workloads of all namespaces, sorted; port is the apps' ingress.
func (s *Status) readWorkloads(ctx context.Context, client *kube.Client, port int) error {
	found, err := client.Dynamic.Resource(workloads).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	urls, err := workloadURLs(ctx, client, port)
	if err != nil {
		return err
	}
	for i := range found.Items {
		workload := workloadStatus(&found.Items[i])
		workload.URL = urls[workload.Namespace+"/"+workload.Name]
		s.Workloads = append(s.Workloads, workload)
	}
	slices.SortFunc(s.Workloads, func(a, b Workload) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return nil
}

func workloadStatus(object *unstructured.Unstructured) Workload {
	status, reason, message := kube.Condition(object, "Ready")
	chain, _, _ := unstructured.NestedString(object.Object, "status", "supplyChainRef", "name")
	w := Workload{
		Namespace: object.GetNamespace(), Name: object.GetName(), SupplyChain: chain,
		Ready: status == "True", Reason: reason, Message: message, Stages: []Stage{},
	}
	if observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration"); observed < object.GetGeneration() {
		w.Ready, w.Reason, w.Message = false, "NotObserved", "the controller has not looked at the last change yet"
	}
	resources, _, _ := unstructured.NestedSlice(object.Object, "status", "resources")
	for _, resource := range resources {
		entry, ok := resource.(map[string]any)
		if !ok {
			continue
		}
		stage := Stage{}
		stage.Name, _ = entry["name"].(string)
		stage.Kind, _, _ = unstructured.NestedString(entry, "stampedRef", "kind")
		stage.Object, _, _ = unstructured.NestedString(entry, "stampedRef", "name")
		state, reason, message := kube.Condition(&unstructured.Unstructured{Object: map[string]any{"status": entry}}, "Ready")
		stage.Ready, stage.Reason, stage.Message = state == "True", reason, message
		w.Stages = append(w.Stages, stage)
	}
	return w
}

// workloadURLs finds the ingresses that supply chains stamped; the key is namespace/workload.
func workloadURLs(ctx context.Context, client *kube.Client, port int) (map[string]string, error) {
	found, err := client.Dynamic.Resource(ingresses).List(ctx, metav1.ListOptions{LabelSelector: "carto.run/workload-name"})
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for _, ingress := range found.Items {
		rules, _, _ := unstructured.NestedSlice(ingress.Object, "spec", "rules")
		if len(rules) == 0 || port == 0 {
			continue
		}
		if rule, ok := rules[0].(map[string]any); ok {
			if host, ok := rule["host"].(string); ok {
				urls[ingress.GetNamespace()+"/"+ingress.GetLabels()["carto.run/workload-name"]] = fmt.Sprintf("http://%s:%d/", host, port)
			}
		}
	}
	return urls, nil
}
