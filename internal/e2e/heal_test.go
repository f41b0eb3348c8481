package e2e

import (
	"slices"
	"strings"
	"testing"
)

func heals(e *env) {
	url := e.appURL("hello")
	t := e.t
	for _, test := range []struct {
		name    string
		breaks  func(*env)
		changes string // the step that must have healed it
	}{
		{"a deleted registry container", func(e *env) { docker(e.t, "rm", "-f", e.name+"-registry") }, "registry"},
		{"a stopped registry container", func(e *env) { docker(e.t, "stop", "-t", "1", e.name+"-registry") }, "registry"},
		{"a deleted controller", func(e *env) { e.kubectl("delete", "deployment", "-n", "slipway-system", "slipway-controller") }, "controller"},
		{"a deleted webhook of cert-manager", func(e *env) { e.kubectl("delete", "deployment", "-n", "cert-manager", "cert-manager-webhook") }, "cert-manager"},
		{"webhooks that nobody asks", func(e *env) {
			e.kubectl("delete", "validatingwebhookconfiguration", "slipway-validating-webhook-configuration")
		}, "webhooks"},
		{"a deleted template", func(e *env) { e.kubectl("delete", "clustertemplate", "app-deployment") }, "profile"},
		{"lost registry names on the node", func(e *env) { docker(e.t, "exec", e.name+"-control-plane", "rm", "-r", "/etc/containerd/certs.d") }, "node"},
		{"a stopped node", func(e *env) { docker(e.t, "stop", "-t", "1", e.name+"-control-plane") }, "cluster"},
	} {
		ok := t.Run(test.name, func(t *testing.T) {
			e := e.in(t)
			before := e.status().Registry.Address
			test.breaks(e)
			if e.status().Ready {
				t.Logf("status does not see it at once")
			}
			if changed := e.changes(); !slices.Contains(changed, test.changes) {
				t.Errorf("up changed %v, want %s among them", changed, test.changes)
			}
			if s := e.status(); s.Registry.Address != before {
				t.Errorf("the registry moved from %s to %s", before, s.Registry.Address)
			}
			e.eventually("everything is ready", func() (bool, string) {
				r := e.try("status", "--name", e.name)
				return r.code == 0, r.all()
			})
			e.answers(url, "ello")
		})
		if !ok {
			return
		}
	}
}

func otherProfile(e *env) {
	e.changes("--profile", "minimal")
	if out, err := e.tryKubectl("", "get", "clustersupplychain", "basic-image-to-url"); err == nil {
		e.t.Errorf("profile minimal still has the supply chain of basic:\n%s", out)
	}
	if out := e.kubectl("get", "workloads", "hello", "-o", "name"); !strings.Contains(out, "hello") {
		e.t.Errorf("the workload is gone: %s", out)
	}
	if changed := e.changes(); len(changed) > 0 || e.status().Profile != "minimal" {
		e.t.Errorf("up without --profile changed %v; the profile is %s", changed, e.status().Profile)
	}
	e.sees("cert-manager is gone", func(out string) bool { return !strings.Contains(out, "cert-manager") }, "get", "namespaces", "-o", "name")
	e.changes("--profile", "basic")
	e.eventually("everything is ready", func() (bool, string) {
		r := e.try("status", "--name", e.name)
		return r.code == 0, r.all()
	})
}

func twoEnvironments(e *env) {
	other := newEnv(e.t, "e2e-b")
	other.run("up", "--name", other.name, "--profile", "minimal")
	if a, b := e.status(), other.status(); !b.Ready || a.Registry.Address == b.Registry.Address {
		e.t.Errorf("two environments: registries %s and %s, the second ready: %v", a.Registry.Address, b.Registry.Address, b.Ready)
	}
	other.run("down", "--name", other.name)
	if s := e.status(); !s.Ready {
		e.t.Errorf("removing one environment hurt the other: %+v", s)
	}
	assertNothingLeft(e.t, other)
}

func downLeavesNothing(e *env) {
	if r := e.run("down", "--name", e.name); !strings.Contains(r.all(), e.name+"-registry") {
		e.t.Errorf("down does not say what it removed:\n%s", r.all())
	}
	assertNothingLeft(e.t, e)
	e.run("down", "--name", e.name)
	e.fails(1, []string{"slipway up"}, "status", "--name", e.name)
}

func assertNothingLeft(t *testing.T, e *env) {
	t.Helper()
	for _, arguments := range [][]string{
		{"ps", "-a", "--filter", "name=^" + e.name + "-(control-plane|registry)$", "--format", "{{.Names}}"},
		{"volume", "ls", "--filter", "label=slipway.dev/environment=" + e.name, "-q"},
		{"network", "ls", "--filter", "name=^" + e.name + "$", "--format", "{{.Name}}"},
	} {
		if out := docker(t, arguments...); out != "" {
			t.Errorf("docker %v: %s is left", arguments, out)
		}
	}
	if content := readIfThere(t, e.kubeconfig); strings.Contains(content, e.name) {
		t.Errorf("the kubeconfig still has it:\n%s", content)
	}
}
