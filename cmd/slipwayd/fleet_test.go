package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// fleetChain is a supply chain of each lifecycle and a Runnable, for the workloads with the label fleet.
const fleetChain = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: fleet, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: fleet, namespace: default}
rules:
  - {apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list, create, patch, delete]}
  - {apiGroups: [carto.run], resources: [runnables], verbs: [get, list, create, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: fleet, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fleet}
subjects: [{kind: ServiceAccount, name: fleet, namespace: default}]
---
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: fleet-mutable}
spec:
  configPath: .data.name
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: $(workload.metadata.name)$}
    data: {name: $(workload.metadata.name)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: fleet-immutable}
spec:
  lifecycle: immutable
  template:
    apiVersion: v1
    kind: Secret
    metadata: {generateName: $(workload.metadata.name)$-}
    stringData: {name: $(config)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: fleet-runnable}
spec:
  template:
    apiVersion: carto.run/v1alpha1
    kind: Runnable
    metadata: {name: $(workload.metadata.name)$}
    spec:
      serviceAccountName: fleet
      runTemplateRef: {name: fleet-run}
      inputs: {name: $(config)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterRunTemplate
metadata: {name: fleet-run}
spec:
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {generateName: "$(runnable.metadata.name)$-run-"}
    data: {name: $(runnable.spec.inputs.name)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: fleet}
spec:
  selector: {fleet: "yes"}
  serviceAccountRef: {name: fleet}
  resources:
    - name: mutable
      templateRef: {kind: ClusterConfigTemplate, name: fleet-mutable}
    - name: immutable
      templateRef: {kind: ClusterTemplate, name: fleet-immutable}
      configs: [{resource: mutable, name: name}]
    - name: runnable
      templateRef: {kind: ClusterTemplate, name: fleet-runnable}
      configs: [{resource: mutable, name: name}]`

// fleet is many workloads of one chain.
type fleet struct {
	t       *testing.T
	cluster client.Client
	size    int
}

// newFleet makes the chain and size workloads for it.
func newFleet(t *testing.T, cluster client.Client, size int) *fleet {
	t.Helper()
	for document := range strings.SplitSeq(fleetChain, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range size {
		group.Go(func() error {
			workload := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
			workload.SetAPIVersion("carto.run/v1alpha1")
			workload.SetKind("Workload")
			workload.SetNamespace("default")
			workload.SetName(fmt.Sprintf("w-%03d", i))
			workload.SetLabels(map[string]string{"fleet": "yes"})
			return cluster.Create(ctx, workload)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return &fleet{t: t, cluster: cluster, size: size}
}

func (f *fleet) list(ctx context.Context, apiVersion, kind string) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind)
	err := f.cluster.List(ctx, list, client.InNamespace("default"))
	return list.Items, err
}

// ready is the number of workloads that are Ready.
func (f *fleet) ready() int {
	workloads, err := f.list(f.t.Context(), "carto.run/v1alpha1", "Workload")
	if err != nil {
		return 0 // the API server may be away
	}
	ready := 0
	for _, workload := range workloads {
		conditions, _, _ := unstructured.NestedSlice(workload.Object, "status", "conditions")
		for _, condition := range conditions {
			if c, ok := condition.(map[string]any); ok && c["type"] == "Ready" && c["status"] == "True" {
				ready++
			}
		}
	}
	return ready
}

// versions returns the resource version of every workload and of all that was stamped, for workloads or Runnables.
func (f *fleet) versions() map[string]string {
	f.t.Helper()
	versions := map[string]string{}
	for _, kind := range [][2]string{{"carto.run/v1alpha1", "Workload"}, {"carto.run/v1alpha1", "Runnable"}, {"v1", "ConfigMap"}, {"v1", "Secret"}} {
		objects, err := f.list(f.t.Context(), kind[0], kind[1])
		if err != nil {
			f.t.Fatal(err)
		}
		for _, object := range objects {
			if kind[1] == "Workload" || len(object.GetOwnerReferences()) > 0 {
				versions[kind[1]+" "+object.GetName()] = object.GetResourceVersion()
			}
		}
	}
	return versions
}

// await waits until p has worked on the whole fleet and has nothing left to do.
func (f *fleet) await(p *process) {
	f.t.Helper()
	waitFor(f.t, nil, "all workloads are ready and all runs are made", func() bool {
		return f.ready() == f.size && p.idle(f.size, "Workload", "workload") && p.idle(f.size, "Runnable", "runnable") && len(f.versions()) >= f.whole()
	})
}

// whole is how many objects a fleet and its workloads are.
func (f *fleet) whole() int { return f.size * 5 }
