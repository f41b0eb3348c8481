package bootstrap

import (
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/profiles"
)

// controllerManifests are the manifests of the controller as `up` applies them.
func controllerManifests(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	profile, err := profiles.Get("testing")
	if err != nil {
		t.Fatal(err)
	}
	u := &up{UpOptions: UpOptions{Name: "slipway"}, profile: profile, registryPort: 5000, gitPort: 9418, imageDigest: v1.Hash{Algorithm: "sha256", Hex: "00"}}
	objects, err := u.controllerObjects()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// read returns the manifests of a kind.
func read[T any](t *testing.T, kind string) []T {
	t.Helper()
	var all []T
	for _, object := range controllerManifests(t) {
		if object.GetKind() != kind {
			continue
		}
		var one T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &one, true); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return all
}

func TestControllerPodIsContained(t *testing.T) {
	for _, deployment := range read[appsv1.Deployment](t, "Deployment") {
		pod := deployment.Spec.Template.Spec
		if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", deployment.Name, s)
		}
		if pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("%s shares something with its node", deployment.Name)
		}
		for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := container.SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.Privileged != nil && *s.Privileged || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s, container %s: %+v", deployment.Name, container.Name, s)
			}
		}
		for _, volume := range pod.Volumes {
			if volume.HostPath != nil || volume.Secret != nil {
				t.Errorf("%s has the volume %+v", deployment.Name, volume)
			}
		}
	}
}

// TestNoRuleOnSecrets : who reads secrets is the account of the webhooks' certificate, that one alone; no rule of a
// ClusterRole is so wide that it means secrets.
func TestNoRuleOnSecrets(t *testing.T) {
	for _, role := range read[rbacv1.ClusterRole](t, "ClusterRole") {
		for _, rule := range role.Rules {
			core := slices.Contains(rule.APIGroups, "") || slices.Contains(rule.APIGroups, "*")
			if core && (slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*")) {
				t.Errorf("ClusterRole %s: %+v", role.Name, rule)
			}
		}
	}
	for _, role := range read[rbacv1.Role](t, "Role") {
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "secrets") && (role.Name != "slipway-webhooks" || !slices.Equal(rule.ResourceNames, []string{webhookName})) || slices.Contains(rule.Resources, "*") {
				t.Errorf("Role %s: %+v", role.Name, rule)
			}
		}
	}
}

// TestNetworkPolicies : nobody may talk to anybody but to the controller, and to that by the ports that others use.
func TestNetworkPolicies(t *testing.T) {
	var all, open []string
	for _, policy := range read[networkingv1.NetworkPolicy](t, "NetworkPolicy") {
		if len(policy.Spec.PolicyTypes) != 2 || policy.Namespace != "slipway-system" {
			t.Errorf("policy %s: %+v", policy.Name, policy.Spec)
		}
		if len(policy.Spec.PodSelector.MatchLabels) == 0 {
			all = append(all, policy.Name)
			if len(policy.Spec.Ingress)+len(policy.Spec.Egress) > 0 {
				t.Errorf("policy %s allows something to all", policy.Name)
			}
		}
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				open = append(open, port.Port.StrVal)
			}
		}
	}
	if !slices.Equal(all, []string{"slipway-deny"}) {
		t.Errorf("the policies for all pods are %v", all)
	}
	for _, port := range read[appsv1.Deployment](t, "Deployment")[0].Spec.Template.Spec.Containers[0].Ports {
		if is := slices.Contains(open, port.Name); is == (port.Name == "metrics") {
			t.Errorf("port %s is open: %t", port.Name, is)
		}
	}
}
