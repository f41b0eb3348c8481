package controller

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

const configMapTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: config-NS}
spec:
  configPath: .data.said
  template:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: made}
    data: {a: b}`

const chainWithConfigMap = chainOfOne + `
    - name: config
      templateRef: {kind: ClusterConfigTemplate, name: config-NS}`

// connections are those of a controller to the API server.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	made, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, made)
		c.mu.Unlock()
	}
	return made, err
}

// cut ends all connections, and with them the watches, which are asked for again.
func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.open {
		_ = one.Close()
	}
	c.open = nil
}

// mayWatchConfigMaps allows or forbids the controller of runLimited to watch ConfigMaps, and waits until the API server
// heeds it.
func (b *bench) mayWatchConfigMaps(may bool) {
	b.Helper()
	if may {
		b.apply(limitedRole + "\n  - {apiGroups: [\"\"], resources: [configmaps], verbs: [list, watch]}")
	} else {
		b.apply(limitedRole)
	}
	b.eventually("the API server heeds the role", func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "controller-" + b.namespace,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "watch", Resource: "configmaps"}}}
		if err := b.client.Create(b.Context(), review); err != nil {
			b.Fatal(err)
		}
		return review.Status.Allowed == may
	}, func() any { return nil })
}

func (b *bench) runLimitedOver(c *connections) {
	b.Helper()
	config := rest.CopyConfig(apiServer)
	config.Impersonate.UserName = "controller-" + b.namespace
	config.Dial = c.dial
	b.runAs(config)
}

// setSaid plays somebody who writes the ConfigMap's output.
func (b *bench) setSaid(name, said string) {
	b.Helper()
	object := b.get("v1", "ConfigMap", name)
	if object == nil {
		b.Fatalf("there is no ConfigMap %s", name)
	}
	data, _ := object.Object["data"].(map[string]any)
	data["said"] = said
	if err := b.client.Update(b.Context(), object); err != nil {
		b.Fatal(err)
	}
}

// TestWatchThatIsNotAllowedAnyMore : when the controller loses the right to watch a kind, its objects are read as the
// owner's account, which the status says; when it has the right again, it watches again.
func TestWatchThatIsNotAllowedAnyMore(t *testing.T) {
	b := newBench(t)
	for _, manifest := range []string{limitedBinding, account, role, roleBinding, imageTemplate, configMapTemplate, chainWithConfigMap} {
		b.apply(manifest)
	}
	b.mayWatchConfigMaps(true)
	var open connections
	b.runLimitedOver(&open)
	b.apply(demo)
	b.setImage("demo", "example.com/demo@sha256:1")
	config := func(what string, is func(said, output string) bool) {
		t.Helper()
		b.eventually(what, func() bool {
			for _, resource := range b.workload("demo").Status.Resources {
				if submitted := realize.Condition(resource.Conditions, v1alpha1.ConditionResourceSubmitted); resource.Name == "config" && submitted != nil {
					output := ""
					if len(resource.Outputs) > 0 {
						output = resource.Outputs[0].Preview
					}
					return is(submitted.Message, output)
				}
			}
			return false
		}, func() any { return b.workload("demo").Status })
	}
	b.eventually("the ConfigMap is there", func() bool { return b.get("v1", "ConfigMap", "made") != nil }, func() any { return b.workload("demo").Status })
	b.setSaid("made", "one")
	config("it is watched", func(said, output string) bool { return said == "" && output == "one\n" })

	b.mayWatchConfigMaps(false)
	open.cut()
	config("it is told that it is not watched", func(said, _ string) bool { return strings.Contains(said, "configmaps are not watched") })
	b.setSaid("made", "two")
	config("it is read all the same", func(_, output string) bool { return output == "two\n" })

	b.mayWatchConfigMaps(true)
	config("it is watched again", func(said, output string) bool { return said == "" && output == "two\n" })
	b.setSaid("made", "three")
	config("what the watch shows is heeded", func(said, output string) bool { return said == "" && output == "three\n" })
}

// TestSelectedKindThatIsNotAllowedAnyMore : a Runnable whose selected kind may not be watched any more looks itself.
func TestSelectedKindThatIsNotAllowedAnyMore(t *testing.T) {
	b := newBench(t)
	for _, manifest := range []string{limitedBinding, account, role, roleBinding, `
apiVersion: v1
kind: ConfigMap
metadata: {name: chosen, labels: {is: chosen}}
data: {said: one}`, `
apiVersion: carto.run/v1alpha1
kind: ClusterRunTemplate
metadata: {name: run-NS}
spec:
  template:
    apiVersion: slipway.dev/v1alpha1
    kind: Image
    metadata: {generateName: run-}
    spec: {image: localhost:5000/apps/$(selected.data.said)$}`} {
		b.apply(manifest)
	}
	b.mayWatchConfigMaps(true)
	var open connections
	b.runLimitedOver(&open)
	b.apply(`
apiVersion: carto.run/v1alpha1
kind: Runnable
metadata: {name: demo}
spec:
  serviceAccountName: stamper
  runTemplateRef: {name: run-NS}
  selector: {resource: {apiVersion: v1, kind: ConfigMap}, matchingLabels: {is: chosen}}`)
	is := func(what string, watched bool) {
		t.Helper()
		b.eventually(what, func() bool {
			runnable := b.runnable("demo")
			ready := realize.Condition(runnable.Status.Conditions, v1alpha1.ConditionRunTemplateReady)
			return ready != nil && ready.Status == "True" && strings.Contains(ready.Message, "configmaps are not watched") != watched
		}, func() any { return b.runnable("demo").Status })
	}
	runs := func(count int) {
		t.Helper()
		b.eventually("there are as many runs as choices", func() bool {
			images := &unstructured.UnstructuredList{}
			images.SetAPIVersion("slipway.dev/v1alpha1")
			images.SetKind("ImageList")
			if err := b.client.List(t.Context(), images, client.InNamespace(b.namespace)); err != nil {
				t.Fatal(err)
			}
			return len(images.Items) == count
		}, func() any { return b.runnable("demo").Status })
	}
	is("it is watched", true)
	runs(1)
	b.setSaid("chosen", "two")
	runs(2)

	b.mayWatchConfigMaps(false)
	open.cut()
	is("it is told that it is not watched", false)
	b.setSaid("chosen", "three")
	runs(3)

	b.mayWatchConfigMaps(true)
	is("it is watched again", true)
	b.setSaid("chosen", "four")
	runs(4)
}
