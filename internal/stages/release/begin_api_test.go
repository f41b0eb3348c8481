package release_test

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testSuspended: nothing is applied, and who asks for another look is answered.
func testSuspended(c *cluster) {
	c.manage()
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one")}, ", suspend: true")
	c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	asked := &v1alpha1.Release{}
	asked.Namespace, asked.Name = c.namespace, "app"
	c.ask("app")
	c.until(func() (bool, string) {
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(asked), asked); err != nil {
			c.Fatal(err)
		}
		return asked.Status.LastHandledRequest == "now", fmt.Sprintf("the request is %q", asked.Status.LastHandledRequest)
	})
	if c.configMap("a") != nil {
		c.Error("it was applied")
	}
}

// testLateKind: an object whose kind the same release brings is written down where it is to be found, before the release
// is ready: or else one that never is would leave it behind.
func testLateKind(c *cluster) {
	c.manage()
	kind := "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: lates.example.com}, spec: {group: example.com, scope: Namespaced, names: {kind: Late, plural: lates}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}\n"
	c.release("app", "1", map[string]string{"a.yml": kind + "---\n{apiVersion: example.com/v1, kind: Late, metadata: {name: first}}\n---\n" + deployment("web", "one")}, "")
	late := &unstructured.Unstructured{}
	late.SetAPIVersion("example.com/v1")
	late.SetKind("Late")
	c.until(func() (bool, string) {
		err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "first"}, late)
		return err == nil, fmt.Sprintf("the object of the late kind: %v", err)
	})
	release := c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment late/web")
	if want := (v1alpha1.ReleasedObject{Group: "example.com", Version: "v1", Kind: "Late", Namespace: c.namespace, Name: "first"}); !slices.Contains(release.Status.Inventory, want) {
		c.Errorf("inventory %+v lacks %+v", release.Status.Inventory, want)
	}

	// The next revision has it no more: it goes, though the first was never ready.
	c.release("app", "2", map[string]string{"a.yml": kind + "---\n" + config1("a", "two")}, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
	if err := c.Get(c.Context(), client.ObjectKeyFromObject(late), late); !apierrors.IsNotFound(err) {
		c.Errorf("the object of the first revision: %v", err)
	}
}
