package ingress

import (
	"context"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// explainTimeout bounds the question that is asked when an upstream fails; its answer is for a person who is
// waiting for a page.
const explainTimeout = time.Second

// endpoints says how many of a Service's pods are ready. It asks the API server only when a request has
// failed, so that no informer of every endpoint in the cluster is needed.
type endpoints struct{ reader client.Reader }

// explain is why upstream may not answer, as a sentence without its full stop; empty when its pods look well.
func (e endpoints) explain(ctx context.Context, upstream *Upstream) string {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	var slices discoveryv1.EndpointSliceList
	err := e.reader.List(ctx, &slices, client.InNamespace(upstream.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: upstream.Service})
	if err != nil {
		return ""
	}
	ready, total := 0, 0
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			total++
			// Nil means ready, by the API's own rule.
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready++
			}
		}
	}
	switch {
	case total == 0:
		return fmt.Sprintf("Service %q selects no pod", upstream.Service)
	case ready == 0:
		return fmt.Sprintf("none of the %d pods of Service %q is ready yet", total, upstream.Service)
	default:
		return ""
	}
}
