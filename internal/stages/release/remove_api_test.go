package release_test

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// untilForbidden waits until the API server has heeded that the account may not do something in namespace default.
func (c *cluster) untilForbidden(verb, resource string) {
	c.Helper()
	c.until(func() (bool, string) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + c.namespace + ":maker",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: resource},
		}}
		if err := c.Create(c.Context(), review); err != nil {
			c.Fatal(err)
		}
		return !review.Status.Allowed, fmt.Sprintf("the account may still %s %s", verb, resource)
	})
}

// testRemove: a Release that is deleted deletes what it may outside of its namespace, and says what is in the way.
func testRemove(c *cluster) {
	all := `{apiGroups: [""], resources: [configmaps], verbs: [get, list, create, patch, delete]}, `
	c.allow(`[` + all + `{apiGroups: [""], resources: [services], verbs: [get, list, create, patch, delete]}]`)
	c.manage()
	c.release("app", "1", documents(
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: remove-held, namespace: default}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: remove-free, namespace: default}}",
		"{apiVersion: v1, kind: Service, metadata: {name: remove-lost, namespace: default}, spec: {ports: [{port: 80}]}}",
	), "")
	found := c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "3 objects")
	c.allow(`[` + all + `{apiGroups: [""], resources: [services], verbs: [get, list]}]`)
	c.untilForbidden("delete", "services")
	c.apply(`{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: hold}, spec: {matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [DELETE]}]}, validations: [{expression: "oldObject.metadata.name != 'remove-held'", message: this one is held}]}}`)
	c.apply("{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: hold}, spec: {policyName: hold, validationActions: [Deny]}}")
	c.until(func() (bool, string) {
		held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "remove-held", Namespace: "default"}}
		return c.Delete(c.Context(), held, client.DryRunAll) != nil, "the policy is not in force"
	})

	if err := c.Delete(c.Context(), found); err != nil {
		c.Fatal(err)
	}
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "ConfigMap default/remove-held: ")
	binding := "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: hold}, spec: {policyName: hold, validationActions: [Audit]}}"
	c.apply(binding)
	c.until(func() (bool, string) {
		return c.gone("slipway.dev/v1alpha1", "Release", c.namespace, "app"), "the release is still there"
	})
	for name, want := range map[string]bool{"remove-held": true, "remove-free": true} {
		if gone := c.gone("v1", "ConfigMap", "default", name); gone != want {
			c.Errorf("ConfigMap %s is gone: %t", name, gone)
		}
	}
	if c.gone("v1", "Service", "default", "remove-lost") {
		c.Error("what the account may not delete was deleted")
	}
}
