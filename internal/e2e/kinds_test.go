package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKinds realises a chain with a template of each kind, with the webhooks on: an immutable one with retention, one of
// several options, one in ytt, a Runnable that the chain drives and waits for, and a delivery in which a deployment gates
// what follows.
func TestKinds(t *testing.T) {
	e := newEnv(t, "e2e-kinds")
	e.run("up", "--name", e.name, "--profile", "basic")
	wrongIsRefused(e)
	manifests, err := os.ReadFile(filepath.Join("testdata", "kinds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e.apply(string(manifests))

	// One replica never comes up, so that the deployment is not done.
	e.apply(kindsWorkload("one", "flavour: plain, ", 1, ""))
	const ofRunnable = `jsonpath={.status.resources[?(@.name=="runnable")].conditions[?(@.type=="ResourceSubmitted")].reason}`
	one := e.runOf("plain registry/app:one")
	e.sees("the chain waits for the run", has("MissingValueAtPath"), "get", "workload", "app", "-n", "kinds", "-o", ofRunnable)
	e.succeeds(one)
	const deployed = "jsonpath={.metadata.annotations.url}"
	const ready = `jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}`
	e.sees("the deliverable waits for the deployment", has("Unknown ConditionNotMet: resource [deploy] condition not met: deployment success condition"),
		"get", "deliverable", "app", "-n", "kinds", "-o", ready)
	if out, err := e.tryKubectl("", "get", "configmap", "app-after", "-n", "kinds"); err == nil {
		t.Errorf("what follows the deployment did not wait for it:\n%s", out)
	}
	e.sees("the workload waits for the deliverable", has("Unknown HealthyConditionRule"), "get", "workload", "app", "-n", "kinds", "-o", ready)

	e.apply(kindsWorkload("two", "", 0, `, {name: flavour, value: ytt}`))
	two := e.runOf("ytt registry/app:two")
	if url := e.kubectl("get", "deployment", "app", "-n", "kinds", "-o", deployed); url != "plain registry/app:one" {
		t.Errorf("%s is deployed before its run has ended", url)
	}
	e.succeeds(two)
	e.sees("the workload is Ready", has("True Ready"), "get", "workload", "app", "-n", "kinds", "-o", ready)
	e.sees("the deployed source came through", has("ytt registry/app:two"), "get", "configmap", "app-after", "-n", "kinds", "-o", "jsonpath={.data.url}")

	for _, revision := range []string{"three", "four"} {
		e.apply(kindsWorkload(revision, "", 0, `, {name: flavour, value: ytt}`))
		e.succeeds(e.runOf("ytt registry/app:" + revision))
		e.sees("revision "+revision+" is deployed", has("ytt registry/app:"+revision), "get", "deployment", "app", "-n", "kinds", "-o", deployed)
	}
	e.sees("two images are kept", func(out string) bool {
		images := strings.Fields(out)
		return len(images) == 2 && strings.Contains(out, ":three") && strings.Contains(out, ":four")
	}, "get", "configmaps", "-n", "kinds", "-l", "kinds=image", "-o", "jsonpath={.items[*].data.image}")
	e.sees("the workload is Ready again", has("True Ready"), "get", "workload", "app", "-n", "kinds", "-o", ready)

	e.kubectl("delete", "clustersupplychain", "kinds")
	e.sees("nothing that was stamped is left", func(out string) bool { return out == "" },
		"get", "configmaps,deployments,jobs,runnables,deliverables", "-n", "kinds", "-l", "carto.run/template-kind", "-o", "name")
}

// runOf waits for the run with a config and returns its name.
func (e *env) runOf(config string) string {
	e.t.Helper()
	name := ""
	e.sees("a run with "+config, func(out string) bool {
		name = out
		return out != "" && !strings.Contains(out, " ")
	}, "get", "jobs", "-n", "kinds", "-o", fmt.Sprintf("jsonpath={.items[?(@.metadata.annotations.config==%q)].metadata.name}", config))
	return name
}

// succeeds plays what runs a run: no Job has the condition by which runs say how they ended.
func (e *env) succeeds(run string) {
	e.t.Helper()
	e.kubectl("patch", "job", run, "-n", "kinds", "--subresource=status",
		"-p", `{"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}}`)
}

func has(words string) func(string) bool {
	return func(out string) bool { return strings.Contains(out, words) }
}

func kindsWorkload(revision, labels string, replicas int, params string) string {
	return fmt.Sprintf(`
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: app, namespace: kinds, labels: {%skinds: "yes"}}
spec:
  source: {git: {url: "https://git/app"}}
  params: [{name: revision, value: %s}, {name: replicas, value: %d}%s]
`, labels, revision, replicas, params)
}
