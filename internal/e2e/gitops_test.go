package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockerengine "slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/git/container"
)

const gitopsWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: shop, namespace: gitops, labels: {example.com/from: gitops}}
spec: {serviceAccountName: chain, image: IMAGE}
`

// TestGitOps goes from a workload over a commit on the environment's git server to the delivered pod; then a commit that
// cannot become ready, one that repairs it, drift, and a git server that was away.
func TestGitOps(t *testing.T) {
	e := newEnv(t, "e2e-gitops")
	e.run("up", "--name", e.name, "--profile", "minimal", "--progress", "plain")
	registry := e.status().Registry.Address
	e.fails(1, []string{"has no git server"}, "git", "url", "--name", e.name)
	e.startGit()

	name, err := environment.Parse(e.name)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := os.ReadFile(filepath.Join("testdata", "gitops.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	one, two := push(t, registry+"/apps/one", buildApp(t, "one")), push(t, registry+"/apps/two", buildApp(t, "two"))
	e.apply(strings.ReplaceAll(string(manifests), "GITSERVER", name.GitInCluster()))
	e.workload(one)
	took := e.delivered(one)
	t.Logf("from a new workload to the delivered pod: %v", took)
	first := e.gitLog()
	if len(first) != 1 || len(first[0].Files) != 1 || first[0].Files[0] != "config/gitops/shop/delivery.yml" {
		t.Fatalf("the log is %+v", first)
	}
	if s := e.status(); !s.Ready {
		t.Errorf("status %+v", s)
	}

	e.workload(two)
	t.Logf("from a changed workload to the delivered pod: %v", e.delivered(two))

	// A commit that can never become ready: the object is named, the last good one keeps running.
	missing := registry + "/apps/missing:v1"
	e.workload(missing)
	e.sees("the release has failed", func(out string) bool {
		return strings.Contains(out, "NotReady") && strings.Contains(out, "Deployment gitops/shop") && strings.Contains(out, "apps/missing")
	}, "get", "release", "shop", "-n", "gitops", "-o", `jsonpath={.status.conditions[0].reason} {.status.conditions[0].message}`)
	if running := e.kubectl("get", "pods", "-n", "gitops", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.containers[*].image}"); running != two {
		t.Errorf("%q is running, want %s", running, two)
	}
	e.sees("the deliverable is not ready", func(out string) bool { return out == "False" },
		"get", "deliverable", "shop", "-n", "gitops", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	e.workload(one)
	e.delivered(one)
	before := len(e.gitLog())
	if before != 4 {
		t.Errorf("%d commits, want 4", before)
	}

	// Drift is put right, and makes no commit.
	e.kubectl("delete", "deployment", "shop", "-n", "gitops")
	e.delivered(one)

	// The git server is away when the workload changes.
	docker(t, "kill", name.Git())
	docker(t, "rm", name.Git())
	e.workload(two)
	e.sees("the commit says that the git server is away", func(out string) bool { return strings.Contains(out, "Unreachable") },
		"get", "gitcommit", "shop", "-n", "gitops", "-o", "jsonpath={.status.conditions[0].reason}")
	e.startGit()
	e.delivered(two)
	// The controller dies: nothing is committed again.
	e.kubectl("delete", "pod", "-n", "slipway-system", "-l", "app.kubernetes.io/name=slipway-controller", "--force", "--grace-period=0")
	e.kubectl("rollout", "status", "deployment/slipway-controller", "-n", "slipway-system", "--timeout=120s")
	e.workload(one)
	e.delivered(one)
	if now := len(e.gitLog()); now != before+2 {
		t.Errorf("%d commits, want %d", now, before+2)
	}

	e.run("git", "clone", "--name", e.name, "slipway/config", filepath.Join(e.home, "clone"))
	if content, err := os.ReadFile(filepath.Join(e.home, "clone/config/gitops/shop/delivery.yml")); err != nil || !strings.Contains(string(content), one) {
		t.Errorf("the clone has %s, %v", content, err)
	}
	e.run("down", "--name", e.name)
	if left := docker(t, "ps", "-aq", "--filter", "name=^"+name.Git()+"$") + docker(t, "volume", "ls", "-q", "--filter", "name=^"+name.Git()+"$"); left != "" {
		t.Errorf("down has left %s", left)
	}
}

// startGit does what `up` does where the profile has a git server.
func (e *env) startGit() {
	e.t.Helper()
	engine, err := dockerengine.Connect(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	defer engine.Close()
	name := environment.Name(e.name)
	registry, err := engine.Container(e.t.Context(), name.Registry())
	if err != nil {
		e.t.Fatal(err)
	}
	options := container.Options{Image: registry.Image, Port: freePort(e.t)}
	for again, want := range []bool{true, false} {
		if changed, err := container.Ensure(e.t.Context(), engine, name, options); err != nil || changed != want {
			e.t.Fatalf("Ensure, time %d: changed %t, %v", again+1, changed, err)
		}
	}
}

func (e *env) workload(image string) {
	e.t.Helper()
	e.apply(strings.ReplaceAll(gitopsWorkload, "IMAGE", image))
}

// delivered waits until the deliverable is ready with the image, and no other runs.
func (e *env) delivered(image string) fmt.Stringer {
	e.t.Helper()
	return e.eventually("the pod with "+image+" is delivered", func() (bool, string) {
		pods, err := e.tryKubectl("", "get", "deployment", "shop", "-n", "gitops", "-o",
			`jsonpath={.spec.template.spec.containers[0].image} {.status.availableReplicas}/{.status.updatedReplicas}/{.status.replicas}`)
		deliverable, err2 := e.tryKubectl("", "get", "deliverable", "shop", "-n", "gitops", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`)
		return err == nil && err2 == nil && pods == image+" 1/1/1" && strings.HasPrefix(deliverable, "True"), pods + " " + deliverable
	})
}

func (e *env) gitLog() (commits []struct {
	Hash  string
	Files []string
}) {
	e.t.Helper()
	if err := json.Unmarshal([]byte(e.run("git", "log", "slipway/config", "--name", e.name, "-o", "json").stdout), &commits); err != nil {
		e.t.Fatal(err)
	}
	return commits
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
