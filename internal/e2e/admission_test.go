package e2e

import "strings"

// wrongIsRefused has the API server ask the webhooks: what breaks a rule is not stored, what is odd is warned of.
func wrongIsRefused(e *env) {
	t := e.t
	const wrong = `
apiVersion: carto.run/v1alpha1
kind: ClusterRunTemplate
metadata: {name: wrong}
spec: {template: {apiVersion: v1, kind: ConfigMap}}`
	out, err := e.tryKubectl(wrong, "apply", "-f", "-")
	if err == nil || !strings.Contains(out, "denied the request: invalid template: object must have a spec") {
		t.Errorf("a run template without a spec: %v\n%s", err, out)
	}
	const odd = `
apiVersion: carto.run/v1alpha1
kind: ClusterDelivery
metadata: {name: odd}
spec:
  selector: {odd: delivery}
  resources:
    - name: app
      templateRef: {kind: ClusterTemplate, name: app-deployment}
      sources: [{name: source, resource: nobody}]`
	out, err = e.tryKubectl(odd, "apply", "-f", "-")
	if err != nil || !strings.Contains(out, "Warning: source [source] of resource [app] is provided by unknown resource [nobody]") {
		t.Errorf("a delivery with an input that nobody provides: %v\n%s", err, out)
	}
	e.kubectl("delete", "clusterdelivery", "odd")
}
