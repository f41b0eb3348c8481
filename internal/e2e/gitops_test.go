package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway.dev/slipway/internal/environment"
)

const gitopsWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: NAME, namespace: gitops, labels: {example.com/from: gitops}}
spec:
  image: IMAGE
  params: [{name: more, value: MORE}]
---
`

// gitops is an environment with a chain from an image over git to a pod, and two images.
type gitops struct {
	*env
	one, two string
}

// TestGitOps goes from a workload over a commit on the environment's git server to the delivered pod, as profile testing
// does; then what can go wrong on the way.
func TestGitOps(t *testing.T) {
	g := &gitops{env: newEnv(t, "e2e-gitops")}
	g.run("up", "--name", g.name, "--profile", "testing", "--progress", "plain")
	name := environment.Name(g.name)
	manifests, err := os.ReadFile(filepath.Join("testdata", "gitops.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	registry := g.status().Registry.Address
	g.one, g.two = push(t, registry+"/apps/one", buildApp(t, "one")), push(t, registry+"/apps/two", buildApp(t, "two"))
	g.apply(strings.ReplaceAll(string(manifests), "GITSERVER", name.GitInCluster()))
	for _, part := range []struct {
		name string
		run  func(*gitops)
	}{
		{"life", (*gitops).life}, {"never ready", (*gitops).neverReady}, {"sources that cannot be", (*gitops).badSources}, {"servers away", (*gitops).serversAway},
		{"controller killed", (*gitops).controllerKilled}, {"registry instead of git", (*gitops).bundle}, {"ten at once", (*gitops).ten},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := *g.env
			own.t = t
			t.Cleanup(func() {
				if t.Failed() { // now, since the parts that follow change what there is to see
					own.tell("diagnose", "--name", own.name, filepath.Join(os.TempDir(), "slipway-e2e-failure-"+own.name+"-"+strings.ReplaceAll(part.name, " ", "-")))
				}
			})
			part.run(&gitops{env: &own, one: g.one, two: g.two})
		})
	}
	g.run("down", "--name", g.name)
	if left := docker(t, "ps", "-aq", "--filter", "name=^"+name.Git()+"$") + docker(t, "volume", "ls", "-q", "--filter", "name=^"+name.Git()+"$"); left != "" {
		t.Errorf("down has left %s", left)
	}
}

// life: made, changed, repaired, pruned; a commit for each change and for nothing else.
func (g *gitops) life() {
	g.workload("shop", g.one, "")
	g.t.Logf("from a new workload to the delivered pod: %v", g.delivered("shop", g.one))
	first := g.commits("shop")
	if len(first) != 1 || !slices.Equal(first[0].Files, []string{"config/gitops/shop/delivery.yml"}) {
		g.t.Fatalf("the log is %+v", first)
	}
	g.workload("shop", g.two, "file")
	g.t.Logf("from a changed workload to the delivered pod: %v", g.delivered("shop", g.two))
	g.sees("the second file is applied", func(out string) bool { return out == "file" }, "get", "configmap", "shop-more", "-n", "gitops", "-o", "jsonpath={.data.more}")
	g.workload("shop", g.two, "")
	g.eventually("the second file's object is pruned", func() (bool, string) {
		out, err := g.tryKubectl("", "get", "configmap", "shop-more", "-n", "gitops")
		return err != nil && strings.Contains(out, "NotFound"), out
	})
	// Drift: what is gone comes back, and what others have changed becomes as it was.
	g.kubectl("delete", "deployment", "shop", "-n", "gitops")
	g.lookAgain("shop")
	g.delivered("shop", g.two)
	g.kubectl("set", "image", "deployment/shop", "-n", "gitops", "workload="+g.one)
	g.lookAgain("shop")
	g.delivered("shop", g.two)
	if now := g.commits("shop"); len(now) != 3 {
		g.t.Errorf("%d commits, want 3", len(now))
	}
	g.run("git", "clone", "--name", g.name, "slipway/config", filepath.Join(g.home, "clone"))
	if content, err := os.ReadFile(filepath.Join(g.home, "clone/config/gitops/shop/delivery.yml")); err != nil || !strings.Contains(string(content), g.two) {
		g.t.Errorf("the clone has %s, %v", content, err)
	}
}

// neverReady: the object is named, the last good one keeps running, and the next commit repairs it.
func (g *gitops) neverReady() {
	before := len(g.commits("shop"))
	g.workload("shop", g.status().Registry.Address+"/apps/missing:v1", "")
	g.sees("the release has failed", func(out string) bool {
		return strings.Contains(out, "NotReady") && strings.Contains(out, "Deployment gitops/shop") && strings.Contains(out, "apps/missing")
	}, "get", "release", "shop", "-n", "gitops", "-o", `jsonpath={.status.conditions[0].reason} {.status.conditions[0].message}`)
	if running := g.kubectl("get", "pods", "-n", "gitops", "-l", "app=shop", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.containers[*].image}"); running != g.two {
		g.t.Errorf("%q is running, want %s", running, g.two)
	}
	for _, kind := range []string{"deliverable", "workload"} {
		g.sees("the "+kind+" says so", func(out string) bool { return strings.Contains(out, "Deployment gitops/shop") },
			"get", kind, "shop", "-n", "gitops", "-o", "jsonpath={.status.conditions[*].message}")
	}
	g.workload("shop", g.one, "")
	g.delivered("shop", g.one)
	if now := len(g.commits("shop")); now != before+2 {
		g.t.Errorf("%d commits, want %d", now, before+2)
	}
}

// workload applies a workload of the chain.
func (g *gitops) workload(name, image, more string) {
	g.t.Helper()
	g.apply(g.manifest(name, image, more))
}

func (g *gitops) manifest(name, image, more string) string {
	return strings.NewReplacer("NAME", name, "IMAGE", image, "MORE", fmt.Sprintf("%q", more)).Replace(gitopsWorkload)
}

// lookAgain does what the release's interval does, sooner.
func (g *gitops) lookAgain(name string) {
	g.t.Helper()
	g.kubectl("annotate", "--overwrite", "release", name, "-n", "gitops", "slipway.dev/requested-at="+time.Now().Format(time.RFC3339Nano))
}

// delivered waits until the workload and its deliverable are ready with the image, and no other runs.
func (g *gitops) delivered(name, image string) time.Duration {
	g.t.Helper()
	const ready = `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`
	return g.eventually(name+" with "+image+" is delivered", func() (bool, string) {
		pods, _ := g.tryKubectl("", "get", "deployment", name, "-n", "gitops", "-o",
			`jsonpath={.spec.template.spec.containers[0].image} {.status.availableReplicas}/{.status.updatedReplicas}/{.status.replicas}`)
		deliverable, _ := g.tryKubectl("", "get", "deliverable", name, "-n", "gitops", "-o", ready)
		workload, _ := g.tryKubectl("", "get", "workload", name, "-n", "gitops", "-o", ready)
		return pods == image+" 1/1/1" && strings.HasPrefix(deliverable, "True") && strings.HasPrefix(workload, "True"), pods + "; " + deliverable + "; " + workload
	})
}

// gitCommit is a commit as `slipway git log -o json` tells of it.
type gitCommit struct {
	Hash  string
	Files []string
}

// commits are those of a workload, the newest first.
func (g *gitops) commits(name string) []gitCommit {
	g.t.Helper()
	var all []gitCommit
	if err := json.Unmarshal([]byte(g.run("git", "log", "slipway/config", "--name", g.name, "--limit", "1000", "-o", "json").stdout), &all); err != nil {
		g.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(commit gitCommit) bool {
		return !slices.ContainsFunc(commit.Files, func(file string) bool { return strings.HasPrefix(file, "config/gitops/"+name+"/") })
	})
}
