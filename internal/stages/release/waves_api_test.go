package release_test

import (
	"fmt"
	"iter"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// definition is that of a namespaced kind, in one line; fields are those of its spec.
func definition(plural, kind, fields string) string {
	return fmt.Sprintf("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %s.example.com}, spec: {group: example.com, scope: Namespaced, names: {kind: %s, plural: %s}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%s}}}}}}]}}\n", plural, kind, plural, fields)
}

func documents(texts ...string) map[string]string {
	return map[string]string{"all.yml": strings.Join(texts, "\n---\n")}
}

// gone says whether an object is not there.
func (c *cluster) gone(version, kind, namespace, name string) bool {
	c.Helper()
	found := &unstructured.Unstructured{}
	found.SetAPIVersion(version)
	found.SetKind(kind)
	err := c.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: name}, found)
	if err != nil && !apierrors.IsNotFound(err) && !strings.Contains(err.Error(), "no matches for kind") {
		c.Fatal(err)
	}
	return err != nil
}

const mayMost = `[
	{apiGroups: [""], resources: [namespaces, serviceaccounts, configmaps, pods, services], verbs: [get, list, create, patch, delete]},
	{apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings, clusterroles, clusterrolebindings], verbs: [get, list, create, patch, delete]},
	{apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, list, create, patch, delete]},
	{apiGroups: [scheduling.k8s.io], resources: [priorityclasses], verbs: [get, list, create, patch, delete]},
	{apiGroups: [apps], resources: [deployments], verbs: [get, list, create, patch, delete]},
	{apiGroups: [example.com], resources: ["*"], verbs: [get, list, create, patch, delete]}]`

// testNeeds: objects that need others of the same revision, released as an account that may neither bind nor escalate.
func testNeeds(c *cluster) {
	c.allow(mayMost)
	c.manage()
	c.release("app", "1", documents(
		"{apiVersion: v1, kind: Pod, metadata: {name: run, namespace: needs-made}, spec: {serviceAccountName: runner, priorityClassName: needs-high, containers: [{name: a, image: b}]}}",
		"{apiVersion: example.com/v1, kind: Need, metadata: {name: first, namespace: needs-made}, spec: {a: b}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: read, namespace: needs-made}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read}, subjects: [{kind: ServiceAccount, name: runner, namespace: needs-made}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: here}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: here}, subjects: [{kind: ServiceAccount, name: runner, namespace: needs-made}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: needs-all}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: needs-all}, subjects: [{kind: ServiceAccount, name: runner, namespace: needs-made}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: here}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: read, namespace: needs-made}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: needs-all}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}",
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner, namespace: needs-made}}",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: needs-high}, value: 1}",
		definition("needs", "Need", "a: {type: string}"),
		"{apiVersion: v1, kind: Namespace, metadata: {name: needs-made}}",
	), "")
	c.until(func() (bool, string) { return !c.gone("v1", "Pod", "needs-made", "run"), c.told("app") })
	c.podReady("needs-made", "run")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "12 objects")

	// What a kind's definition newly allows, its objects may use in the same revision.
	kind := definition("needs", "Need", "a: {type: string}, b: {type: string}")
	c.release("app", "2", documents("{apiVersion: example.com/v1, kind: Need, metadata: {name: second}, spec: {b: c}}", kind), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
	// With the definition as it is, that is a mistake, and nothing is applied.
	c.release("app", "3", documents("{apiVersion: example.com/v1, kind: Need, metadata: {name: second}, spec: {d: e}}", kind, config1("new", "a")), "")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "Need needs/second: ")
	if c.configMap("new") != nil {
		c.Error("a revision with a mistake was applied")
	}
}

// told is what the Release's condition says.
func (c *cluster) told(name string) string {
	c.Helper()
	found := &v1alpha1.Release{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, found); err != nil {
		c.Fatal(err)
	}
	return fmt.Sprintf("%+v", found.Status.Conditions)
}

// podReady plays the kubelet.
func (c *cluster) podReady(namespace, name string) {
	c.Helper()
	pod := &corev1.Pod{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
		c.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := c.Status().Update(c.Context(), pod); err != nil {
		c.Fatal(err)
	}
}

// testDefaultAccount: a pod waits for the account that the cluster makes for the revision's own namespace.
func testDefaultAccount(c *cluster) {
	seen := c.conditions("app")
	c.manage()
	c.release("app", "1", documents(
		"{apiVersion: v1, kind: Namespace, metadata: {name: account-made}}",
		"{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: account-made}, spec: {containers: [{name: a, image: b}]}}",
	), "")
	for condition := range seen {
		if condition.Status == metav1.ConditionFalse {
			c.Fatalf("the account was not waited for: %+v", condition)
		}
		if strings.Contains(condition.Message, "waiting for Pod account-made/bare: ") && strings.Contains(condition.Message, `serviceaccount "default" not found`) {
			break
		}
	}
	c.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: account-made}}")
	c.until(func() (bool, string) { return !c.gone("v1", "Pod", "account-made", "bare"), c.told("app") })
	c.podReady("account-made", "bare")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "2 objects")
}

// conditions are those that a Release which is made later comes to have, one by one and none left out.
func (c *cluster) conditions(name string) iter.Seq[metav1.Condition] {
	c.Helper()
	direct, err := client.NewWithWatch(c.Config, client.Options{Scheme: c.Scheme()})
	if err != nil {
		c.Fatal(err)
	}
	changes, err := direct.Watch(c.Context(), &v1alpha1.ReleaseList{}, client.InNamespace(c.namespace))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(changes.Stop)
	return func(yield func(metav1.Condition) bool) {
		limit := time.After(60 * time.Second)
		for {
			select {
			case change := <-changes.ResultChan():
				release, is := change.Object.(*v1alpha1.Release)
				if !is || release.Name != name {
					c.Fatalf("the watch says %+v", change)
				}
				for _, condition := range release.Status.Conditions {
					if !yield(condition) {
						return
					}
				}
			case <-limit:
				c.Fatal(c.told(name))
			}
		}
	}
}

// testMistakes: one beside objects that others need changes nothing, also where it is in one of those that need them.
func testMistakes(c *cluster) {
	c.allow(mayMost)
	c.manage()
	made := "{apiVersion: v1, kind: Namespace, metadata: {name: mistakes-made}}"
	kind := definition("mistakes", "Mistake", "a: {type: string}")
	role := "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: read}, rules: [{apiGroups: [''], resources: [%s], verbs: [get]}]}"
	binding := "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: read}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}, subjects: [{kind: ServiceAccount, name: maker}]}"
	for revision, test := range map[string]struct {
		files         map[string]string
		reason, words string
	}{
		"deployment": {documents(made, kind, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: broken}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: other}}, spec: {containers: [{name: a, image: b}]}}}}"), v1alpha1.ReasonApplyFailed, "Deployment mistakes/broken: "},
		"field":      {documents(made, kind, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: mistakes-made}, dta: {a: b}}"), v1alpha1.ReasonApplyFailed, "ConfigMap mistakes-made/a: "},
		"namespace":  {documents(made, kind, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: mistakes-other}}"), v1alpha1.ReasonApplyFailed, `namespaces "mistakes-other" not found`},
		"role":       {documents(made, kind, fmt.Sprintf(binding, "none")), v1alpha1.ReasonApplyFailed, `RoleBinding mistakes/read: `},
		"escalation": {documents(made, kind, fmt.Sprintf(role, "secrets"), fmt.Sprintf(binding, "read")), v1alpha1.ReasonForbidden, `is attempting to grant RBAC permissions not currently held`},
		"rights":     {documents(made, kind, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: mistakes-made}}"), v1alpha1.ReasonForbidden, `Secret mistakes-made/a: secrets "a" is forbidden`},
		"account":    {documents(made, kind, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {serviceAccountName: none, containers: [{name: a, image: b}]}}"), v1alpha1.ReasonApplyFailed, `serviceaccount "none" not found`},
		"version":    {documents(made, kind, "{apiVersion: example.com/v2, kind: Mistake, metadata: {name: a}}"), v1alpha1.ReasonApplyFailed, "Mistake a: the cluster does not know this kind (example.com/v2)"},
		"twice":      {documents(made, kind, "{apiVersion: example.com/v1, kind: Mistake, metadata: {name: a}}", "{apiVersion: example.com/v1, kind: Mistake, metadata: {name: a}}"), v1alpha1.ReasonUnpackable, "Mistake a is there twice"},
	} {
		c.release("app", revision, test.files, "")
		found := c.eventually("app", metav1.ConditionFalse, test.reason, test.words)
		if found.Status.Revision != "" || !c.gone("v1", "Namespace", "", "mistakes-made") || !c.gone("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "mistakes.example.com") || !c.gone("rbac.authorization.k8s.io/v1", "Role", c.namespace, "read") {
			c.Errorf("%s: something was applied, status %+v", revision, found.Status)
		}
	}

	// Objects of a namespace that is not there are tried as soon as it is, and before others of their wave are applied.
	c.release("app", "late", documents(made, "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: mistakes-made}, spec: {ports: [{port: 70000}]}}", config1("a", "b")), "")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "Service mistakes-made/a: ")
	if c.gone("v1", "Namespace", "", "mistakes-made") || c.configMap("a") != nil {
		c.Error("the namespace is not there, or an object of the wave with the mistake is")
	}
}

// testGrants: a revision makes a namespace, gives its own account rights there, and uses them.
func testGrants(c *cluster) {
	c.allow(`[
		{apiGroups: [""], resources: [namespaces], verbs: [get, list, create, patch, delete]},
		{apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [get, list, create, patch, delete]},
		{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [edit-grants]}]`)
	c.apply("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: edit-grants}, rules: [{apiGroups: [''], resources: [configmaps], verbs: ['*']}]}")
	c.manage()
	c.release("app", "1", documents(
		"{apiVersion: v1, kind: Namespace, metadata: {name: grants-made}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: grants-made}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: edit, namespace: grants-made}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit-grants}, subjects: [{kind: ServiceAccount, name: maker, namespace: grants}]}",
	), "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "3 objects")
}

// testWebhook: who serves a webhook is repaired by a revision in which there are objects that the webhook lets nobody judge.
func testWebhook(c *cluster) {
	c.manage()
	webhook := "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: webhook}, webhooks: [{name: judge.example.com, admissionReviewVersions: [v1], sideEffects: None, timeoutSeconds: 1, clientConfig: {url: 'https://127.0.0.1:1/'}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: webhook}}, rules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE, UPDATE]}]}]}"
	c.release("app", "1", documents(webhook, config1("a", "one"), deployment("server", "one")), "")
	c.ready("server", metav1.ConditionTrue, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'")

	c.release("app", "2", documents(webhook, config1("a", "two"), deployment("server", "two")), "")
	c.until(func() (bool, string) {
		found := &appsv1.Deployment{}
		err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "server"}, found)
		return err == nil && found.Spec.Template.Spec.Containers[0].Image == "two", c.told("app")
	})
	c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment webhook/server")
	if a := c.configMap("a").Data["a"]; a != "one" {
		c.Errorf("the object that the webhook judges is %q", a)
	}
	// The webhook is in the way no more.
	hook := &unstructured.Unstructured{}
	hook.SetAPIVersion("admissionregistration.k8s.io/v1")
	hook.SetKind("ValidatingWebhookConfiguration")
	hook.SetName("webhook")
	patch := client.RawPatch(types.JSONPatchType, []byte(`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`))
	if err := c.Patch(c.Context(), hook, patch); err != nil {
		c.Fatal(err)
	}
	c.ready("server", metav1.ConditionTrue, "")
	c.until(func() (bool, string) { return c.configMap("a").Data["a"] == "two", c.told("app") })
}
