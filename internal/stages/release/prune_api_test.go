package release_test

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testVersions: an object is pruned, too, when the version under which it was applied is served no more, and is only
// forgotten when its kind is.
func testVersions(c *cluster) {
	stop := c.manage()
	serve := func(old, new bool) {
		c.Helper()
		version := "{name: %s, served: %t, storage: %t, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}"
		c.apply(fmt.Sprintf("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: pasts.example.com}, spec: {group: example.com, scope: Namespaced, names: {kind: Past, plural: pasts}, versions: ["+version+", "+version+"]}}", "v1alpha1", old, !new, "v1", new, new))
	}
	past := func(name string) string {
		return "{apiVersion: example.com/v1alpha1, kind: Past, metadata: {name: " + name + "}}"
	}
	is := func(version, name string) error {
		found := &unstructured.Unstructured{}
		found.SetAPIVersion("example.com/" + version)
		found.SetKind("Past")
		return c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, found)
	}
	serve(true, false)
	c.release("app", "1", documents(past("a"), past("b"), config1("kept", "one")), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "3 objects")
	serve(false, true)
	c.until(func() (bool, string) {
		return is("v1", "a") == nil && is("v1alpha1", "a") != nil, "v1 is not served, or v1alpha1 is"
	})

	c.release("app", "2", documents(past("b"), config1("kept", "one")), "")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "Past versions/b: the cluster serves this kind no more as example.com/v1alpha1")
	now := "{apiVersion: example.com/v1, kind: Past, metadata: {name: b}}"
	c.release("app", "3", documents(now, config1("kept", "one")), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'3'")
	if err := is("v1", "a"); client.IgnoreNotFound(err) != nil || err == nil {
		c.Errorf("the object that is released no more: %v", err)
	}
	if err := is("v1", "b"); err != nil {
		c.Error(err)
	}

	// A controller that has not known the old version.
	serve(true, false)
	c.until(func() (bool, string) { return is("v1alpha1", "b") == nil, "v1alpha1 is not served" })
	c.release("app", "4", documents(past("b"), config1("kept", "one")), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'4'")
	stop()
	serve(false, true)
	c.until(func() (bool, string) {
		return is("v1", "b") == nil && is("v1alpha1", "b") != nil, "v1 is not served, or v1alpha1 is"
	})
	c.manage()
	c.release("app", "5", documents(config1("kept", "one")), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'5'")
	if err := is("v1", "b"); client.IgnoreNotFound(err) != nil || err == nil {
		c.Errorf("the object that is released no more: %v", err)
	}
}
