package controller

import (
	"strings"
	"testing"
)

const optionalChain = `
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: chain-NS}
spec:
  selector: {chain: NS}
  serviceAccountRef: {name: stamper}
  resources:
    - name: image
      templateRef: {kind: ClusterImageTemplate, name: image-NS}
    - name: scanned
      images: [{resource: image, name: in}]
      templateRef:
        kind: ClusterImageTemplate
        options:
          - {name: scan-NS, selector: {matchLabels: {scan: "yes"}}}
          - {passThrough: in, selector: {matchFields: [{key: metadata.labels.scan, operator: DoesNotExist}]}}
    - name: deployment
      templateRef: {kind: ClusterTemplate, name: deployment-NS}
      images: [{resource: scanned, name: app}]`

const scanTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterImageTemplate
metadata: {name: scan-NS}
spec:
  imagePath: .data.image
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: scan}
    data: {image: scanned/$(image)$}`

// TestPassThroughFollowsItsInput switches between an option that stamps and one that passes through.
func TestPassThroughFollowsItsInput(t *testing.T) {
	b := newBench(t)
	b.run()
	scan := strings.Replace(demo, "labels: {", `labels: {scan: "yes", `, 1)
	for _, manifest := range []string{account, role, roleBinding, imageTemplate, scanTemplate, deploymentTemplate, optionalChain, scan} {
		b.apply(manifest)
	}
	b.setImage("demo", firstDigest)
	b.image("demo", "scanned/"+firstDigest)
	labels := b.get("v1", "ConfigMap", "scan").GetLabels()
	if got, want := labels["carto.run/cluster-template-name"], "scan-"+b.namespace; got != want {
		t.Errorf("label %q, want %q", got, want)
	}

	b.apply(demo)
	b.image("demo", firstDigest)
	b.eventually("the scan is gone", func() bool { return b.get("v1", "ConfigMap", "scan") == nil }, func() any { return b.workload("demo").Status })
	b.condition("demo", "Ready", "True", "Ready")
	b.setImage("demo", secondDigest)
	b.image("demo", secondDigest)
	b.eventually("the status shows the new output", func() bool {
		resources := b.workload("demo").Status.Resources
		return len(resources) == 3 && resources[1].StampedRef == nil && len(resources[1].Outputs) == 1 &&
			resources[1].Outputs[0].Preview == secondDigest+"\n" && len(resources[1].Conditions) == 2
	}, func() any { return b.workload("demo").Status })
}
