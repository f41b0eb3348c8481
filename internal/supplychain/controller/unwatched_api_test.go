package controller

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/ownwrites"
	"slipway.dev/slipway/internal/supplychain/realize"
)

// limitedRole is what a controller needs that may watch no kind that is stamped here but Images.
const limitedRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: controller-NS}
rules:
  - {apiGroups: [carto.run], resources: ["*"], verbs: [get, list, watch, update]}
  - {apiGroups: [slipway.dev], resources: [images], verbs: [list, watch]}
  - {apiGroups: [""], resources: [serviceaccounts], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
  - {apiGroups: [rbac.authorization.k8s.io], resources: ["*"], verbs: [get, list, watch]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}`

const limitedBinding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: controller-NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: controller-NS}
subjects: [{kind: User, name: controller-NS}]`

// runLimited starts the controllers with no more rights than the ClusterRole controller-NS gives.
func (b *bench) runLimited() (stop func()) {
	b.Helper()
	config := rest.CopyConfig(apiServer)
	config.Impersonate.UserName = "controller-" + b.namespace
	return b.runAs(config)
}

func (b *bench) runAs(config *rest.Config) (stop func()) {
	b.Helper()
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: b.scheme, Metrics: server.Options{BindAddress: "0"}, NewClient: ownwrites.New})
	if err != nil {
		b.Fatal(err)
	}
	if err := Setup(mgr, Options{SkipNameValidation: true, startLimit: time.Millisecond}); err != nil {
		b.Fatal(err)
	}
	return b.start(mgr)
}

const secretTemplate = `
apiVersion: carto.run/v1alpha1
kind: ClusterTemplate
metadata: {name: secret-NS}
spec:
  template:
    apiVersion: v1
    kind: Secret
    metadata: {name: made}
    stringData: {a: b}`

const chainWithSecret = chainOfOne + `
    - name: secret
      templateRef: {kind: ClusterTemplate, name: secret-NS}`

// secretsRole allows an account to make Secrets, too.
func secretsRole(account string) string {
	return strings.NewReplacer("name: stamper", "name: "+account, "configmaps]", "secrets]").Replace(role)
}

// withSecret has a workload stamp an Image and a Secret, as the account stamper, and stops the controllers.
func withSecret(t *testing.T) *bench {
	b := newBench(t)
	for _, manifest := range []string{limitedRole, limitedBinding, account, secretsRole("stamper"), roleBinding, imageTemplate, secretTemplate, chainWithSecret, demo} {
		b.apply(manifest)
	}
	stop := b.runLimited()
	b.setImage("demo", "example.com/demo@sha256:1")
	b.condition("demo", "Ready", "True", "Ready")
	stop()
	return b
}

// secretResource waits until the entry of the Secret in the status of demo is as is says; it gets nil for no entry.
func (b *bench) secretResource(what string, is func(*v1alpha1.ResourceStatus) bool) {
	b.Helper()
	b.eventually(what, func() bool {
		for _, resource := range b.workload("demo").Status.Resources {
			if resource.Name == "secret" {
				return is(&resource)
			}
		}
		return is(nil)
	}, func() any { return b.workload("demo").Status })
}

func (b *bench) noSecret() {
	b.Helper()
	b.eventually("the Secret is gone", func() bool { return b.get("v1", "Secret", "made") == nil }, func() any { return b.workload("demo").Status })
	b.secretResource("nothing is said of the Secret", func(resource *v1alpha1.ResourceStatus) bool { return resource == nil })
}

// secretOrphaned waits until the status says that the Secret is not wanted and cannot be deleted.
func (b *bench) secretOrphaned(why string) {
	b.Helper()
	b.secretResource("the Secret is told of: "+why, func(resource *v1alpha1.ResourceStatus) bool {
		if resource == nil {
			return false
		}
		said, ready := realize.Condition(resource.Conditions, v1alpha1.ConditionResourceSubmitted), realize.Condition(resource.Conditions, v1alpha1.ConditionReady)
		return said != nil && said.Reason == v1alpha1.ReasonOrphanNotDeleted && strings.Contains(said.Message, why) && ready.Status == "False"
	})
}

// TestOrphansThatNoWatchTellsOf : what was stamped of a kind that the controller may not watch, and is not wanted any
// more, goes also after a restart, as the account that stamped it; while that may not, it is told.
func TestOrphansThatNoWatchTellsOf(t *testing.T) {
	otherAccount := strings.Replace(account, "stamper", "other", 1)
	otherRole := strings.ReplaceAll(role, "name: stamper", "name: other")
	otherBinding := strings.ReplaceAll(roleBinding, "name: stamper", "name: other")
	asOther := strings.Replace(chainOfOne, "{name: stamper}", "{name: other}", 1)
	t.Run("the account was changed", func(t *testing.T) {
		b := withSecret(t)
		for _, manifest := range []string{otherAccount, otherRole, otherBinding, asOther} {
			b.apply(manifest)
		}
		b.runLimited()
		b.noSecret()
		b.condition("demo", "Ready", "True", "Ready")
	})
	t.Run("the account was changed and the old one may not", func(t *testing.T) {
		b := withSecret(t)
		for _, manifest := range []string{otherAccount, otherRole, otherBinding, asOther, role} {
			b.apply(manifest)
		}
		b.runLimited()
		b.secretOrphaned("cannot get resource")
		b.apply(secretsRole("stamper"))
		b.noSecret()
	})
	t.Run("the account may read it and not delete it", func(t *testing.T) {
		b := withSecret(t)
		b.apply(strings.Replace(secretsRole("stamper"), ", delete", "", 1))
		b.apply(chainOfOne)
		b.runLimited()
		b.secretOrphaned("cannot delete resource")
		b.apply(secretsRole("stamper"))
		b.noSecret()
	})
	t.Run("the chain is gone", func(t *testing.T) {
		b := withSecret(t)
		b.delete(chainWithSecret)
		b.runLimited()
		b.noSecret()
	})
	t.Run("the chain is another's and nothing is noted", func(t *testing.T) {
		b := withSecret(t)
		workload := b.workload("demo")
		for i := range workload.Status.Resources {
			workload.Status.Resources[i].ServiceAccountRef = nil
		}
		if err := b.client.Status().Update(t.Context(), workload); err != nil {
			t.Fatal(err)
		}
		b.apply(strings.Replace(demo, "chain: NS", "other: NS", 1))
		b.runLimited()
		b.noSecret()
	})
	t.Run("nobody knows the account", func(t *testing.T) {
		b := withSecret(t)
		workload := b.workload("demo")
		for i := range workload.Status.Resources {
			workload.Status.Resources[i].ServiceAccountRef = nil
		}
		if err := b.client.Status().Update(t.Context(), workload); err != nil {
			t.Fatal(err)
		}
		b.delete(chainWithSecret)
		b.runLimited()
		b.secretOrphaned(errStamperUnknown.Error())
	})
}
