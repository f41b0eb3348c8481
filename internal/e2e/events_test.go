package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const eventsWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: NAME
  namespace: events
  labels:
    apps.tanzu.vmware.com/workload-type: web
    apps.tanzu.vmware.com/has-tests: "true"
    example.com/custom: "true"
spec:
  source: {git: {url: REPOSITORY, ref: {branch: main}}}
---
`

// checkerSource is a test command: a source with a file named broken is red.
const checkerSource = `package main

import "os"

func main() {
	if _, err := os.Stat("broken"); err == nil {
		println("the source is broken")
		os.Exit(1)
	}
}
`

// The stages of the testing chain in their order, and those of its delivery.
var (
	fromAppConfig = []string{"app-config", "service-bindings", "api-descriptors", "config-writer", "delivery/source-provider", "delivery/deployer", "app"}
	fromConfig    = append([]string{"config-provider"}, fromAppConfig...)
	fromImage     = append([]string{"image-provider"}, fromConfig...)
	fromSource    = append([]string{"source-provider", "source-tester"}, fromImage...)
)

// events is an environment of profile testing with an app from a git repository, which is built on this machine.
type events struct {
	*env
	registry, repository string // as pods name the repository
	dir                  string // the app's checkout
}

// TestEventTable takes an app through what happens to one in its life. For each event exactly those stages run again that
// it concerns: by what they stamped, ran, built and wrote.
func TestEventTable(t *testing.T) {
	e := newEvents(t)
	e.apply(e.workload("shop"))
	e.await("the app is delivered", "shop", marks{})
	e.inOrder("shop")
	rows := []struct {
		name  string
		event func()
		want  []string
	}{
		{"a commit", func() { replace(t, filepath.Join(e.dir, "main.go"), "first", "second"); e.push("second") }, fromSource},
		{"an environment variable", func() { e.patch("workload/shop", `{"spec":{"env":[{"name":"COLOR","value":"blue"}]}}`) }, fromConfig},
		{"a param that the pod's stage reads", func() {
			e.patch("workload/shop", `{"spec":{"params":[{"name":"annotations","value":{"example.com/team":"blue"}}]}}`)
		}, fromConfig},
		{"a param that app-config reads", func() {
			e.patch("workload/shop", `{"spec":{"params":[{"name":"annotations","value":{"example.com/team":"blue"}},{"name":"ingress_domain","value":"example.test"}]}}`)
		}, fromAppConfig[:len(fromAppConfig)-1]}, // the Ingress is another, and the Deployment is as it was
		{"a convention that is switched off", func() { e.patch("clusterpodconvention/resources", `{"spec":{"suspend":true}}`) }, fromConfig},
		{"another template for app-config", func() {
			e.edit("clusterconfigtemplate/config-template", func(text string) string {
				return strings.Replace(text, "revisionHistoryLimit: 3", "revisionHistoryLimit: 5", 1)
			})
		}, fromAppConfig},
		{"a newer base image", e.pushBase, fromImage},
		{"a third party's stage in a chain of one's own", e.addStage, []string{"approval", "config-writer", "delivery/source-provider", "delivery/deployer"}},
	}
	for _, row := range rows {
		before := e.marks("shop")
		start := time.Now()
		row.event()
		after := e.await(row.name+" is delivered", "shop", before)
		took := time.Since(start)
		var ran []string
		for stage, mark := range after {
			if before[stage] != mark {
				ran = append(ran, stage)
			}
		}
		slices.Sort(ran)
		if diff := cmp.Diff(slices.Sorted(slices.Values(row.want)), ran); diff != "" {
			t.Errorf("after %s other stages ran again than it concerns (-want +got):\n%s", row.name, diff)
		}
		t.Logf("%s: %v until delivered", row.name, took.Round(10*time.Millisecond))
	}
	e.upAgain()
	e.claims()
	e.red()
	e.ten()
	e.dev()
	e.devOfImage()
}

// newEvents brings the environment up, and pushes all that the app's chain needs. The app's own chain is the profile's,
// under another name, as users make theirs.
func newEvents(t *testing.T) *events {
	e := &events{env: newEnv(t, "e2e-events"), dir: t.TempDir()}
	e.run("up", "--name", e.name, "--profile", "testing", "--progress", "plain")
	e.registry = e.status().Registry.Address
	checker := push(t, e.registry+"/tests/checker", buildProgram(t, checkerSource))
	manifests, err := os.ReadFile(filepath.Join("testdata", "events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e.apply(strings.ReplaceAll(string(manifests), "CHECKER", checker))
	e.edit("clustersupplychain/source-test-to-url", func(text string) string {
		var chain unstructured.Unstructured
		if err := json.Unmarshal([]byte(text), &chain); err != nil {
			t.Fatal(err)
		}
		selector, _, _ := unstructured.NestedStringMap(chain.Object, "spec", "selector")
		selector["example.com/custom"] = "true"
		chain.Object = map[string]any{"apiVersion": chain.Object["apiVersion"], "kind": chain.Object["kind"], "spec": chain.Object["spec"], "metadata": map[string]any{"name": "custom"}}
		return with(t, chain.Object, selector, "spec", "selector")
	})
	e.pushBase()
	for file, content := range map[string]string{
		"go.mod": "module app\n\ngo 1.24\n", "main.go": strings.Replace(appSource, "unset", "first", 1),
		"slipway.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild:\n  go: {base: " + e.registry + "/bases/os:v1}\n",
	} {
		if err := os.WriteFile(filepath.Join(e.dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e.git("init", "-q", "-b", "main")
	e.repository = strings.TrimSpace(e.run("git", "url", "apps/shop", "--in-cluster", "--name", e.name).stdout)
	e.git("remote", "add", "origin", strings.TrimSpace(e.run("git", "url", "apps/shop", "--name", e.name).stdout))
	e.push("first")
	builder := e.start("build", "--watch", "--name", e.name, "--progress", "plain")
	builder.says("Ctrl-C ends it")
	return e
}

func (e *events) workload(name string) string {
	return strings.NewReplacer("NAME", name, "REPOSITORY", e.repository).Replace(eventsWorkload)
}

func (e *events) git(arguments ...string) {
	e.t.Helper()
	command := exec.CommandContext(e.t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, arguments...)...)
	command.Dir = e.dir
	if out, err := command.CombinedOutput(); err != nil {
		e.t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
}

func (e *events) push(message string) {
	e.t.Helper()
	e.git("add", "-A")
	e.git("commit", "-q", "-m", message)
	e.git("push", "-q", "origin", "main")
}

// pushBase pushes another base image under the tag that the app stands on.
func (e *events) pushBase() {
	e.t.Helper()
	image, err := random.Image(1024, 1)
	if err != nil {
		e.t.Fatal(err)
	}
	tag, err := name.NewTag(e.registry + "/bases/os:v1")
	if err != nil {
		e.t.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithContext(e.t.Context())); err != nil {
		e.t.Fatal(err)
	}
}

// addStage puts the third party's stage before the config-writer.
func (e *events) addStage() {
	e.edit("clustersupplychain/custom", func(text string) string {
		var chain unstructured.Unstructured
		if err := json.Unmarshal([]byte(text), &chain); err != nil {
			e.t.Fatal(err)
		}
		resources, _, _ := unstructured.NestedSlice(chain.Object, "spec", "resources")
		place := slices.IndexFunc(resources, func(one any) bool { return one.(map[string]any)["name"] == "config-writer" })
		writer := resources[place].(map[string]any)
		writer["configs"] = []any{map[string]any{"name": "config", "resource": "approval"}}
		resources = slices.Insert(resources, place, any(map[string]any{
			"name": "approval", "templateRef": map[string]any{"kind": "ClusterConfigTemplate", "name": "approval"},
			"configs": []any{map[string]any{"name": "app_def", "resource": "api-descriptors"}},
		}))
		return with(e.t, chain.Object, resources, "spec", "resources")
	})
}

// with returns an object as JSON, with a field set.
func with(t *testing.T, object map[string]any, value any, fields ...string) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(object, plain, fields...); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (e *events) patch(object, patch string) {
	e.t.Helper()
	e.kubectl("patch", object, "-n", "events", "--type=merge", "-p", patch)
}

// edit applies what change makes of an object's JSON.
func (e *events) edit(object string, change func(string) string) {
	e.t.Helper()
	var found unstructured.Unstructured
	if err := json.Unmarshal([]byte(e.kubectl("get", object, "-o", "json")), &found); err != nil {
		e.t.Fatal(err)
	}
	found.SetManagedFields(nil)
	found.SetResourceVersion("")
	delete(found.Object, "status")
	text, err := json.Marshal(found.Object)
	if err != nil {
		e.t.Fatal(err)
	}
	if out, err := e.tryKubectl(change(string(text)), "apply", "--server-side", "--force-conflicts", "--field-manager=editor", "-f", "-"); err != nil {
		e.t.Fatalf("editing %s: %v\n%s", object, err, out)
	}
}

// marks say of each stage what it last did, so that a stage that runs again gets another one.
type marks map[string]string

// marks reads them from what the stages of a workload have stamped and done.
func (e *events) marks(workload string) marks {
	e.t.Helper()
	found, _ := e.look(workload)
	return found
}

// look reads the marks of a workload, and what of it is not there yet; "" for nothing.
func (e *events) look(workload string) (marks, string) {
	e.t.Helper()
	out, err := e.tryKubectl("", "get", "workloads,sources,runnables,testruns,builds,podintents,configmaps,gitcommits,deliverables,releases,deployments", "-n", "events", "-o", "json")
	if err != nil {
		return nil, out
	}
	var list unstructured.UnstructuredList
	if err := list.UnmarshalJSON([]byte(out)); err != nil {
		return nil, err.Error()
	}
	m, behind := marks{}, "workload "+workload+" is not there"
	of := func(object unstructured.Unstructured, fields ...string) string {
		value, _, _ := unstructured.NestedFieldNoCopy(object.Object, fields...)
		text, _ := json.Marshal(value)
		return fmt.Sprintf("%x", sha256.Sum256(text))[:12]
	}
	runs := 0
	for _, object := range list.Items {
		name, generation := object.GetName(), fmt.Sprint(object.GetGeneration(), " ")
		switch kind := object.GetKind(); {
		case kind == "Workload" && name == workload:
			behind = notReady(object)
		case kind == "Source" && name == workload:
			m["source-provider"] = generation + of(object, "status", "artifact")
		case kind == "TestRun" && object.GetLabels()["carto.run/runnable-name"] == workload:
			runs++
		case kind == "Build" && name == workload:
			m["image-provider"] = generation + of(object, "status", "builds") + of(object, "status", "latestImage")
		case kind == "PodIntent" && name == workload:
			m["config-provider"] = generation + of(object, "status", "template")
		case kind == "ConfigMap":
			if stage := map[string]string{workload: "app-config", workload + "-with-claims": "service-bindings", workload + "-with-api-descriptors": "api-descriptors", workload + "-approved": "approval"}[name]; stage != "" {
				m[stage] = object.GetResourceVersion()
			}
		case kind == "GitCommit" && name == workload:
			m["config-writer"] = generation + of(object, "status", "revision")
		case kind == "Deliverable" && name == workload:
			m["deliverable"] = generation
		case kind == "Source" && name == workload+"-delivery":
			m["delivery/source-provider"] = generation + of(object, "status", "artifact")
		case kind == "Release" && name == workload:
			m["delivery/deployer"] = generation + of(object, "status", "revision")
			if behind == "" {
				behind = notReady(object)
			}
		case kind == "Deployment" && name == workload:
			m["app"] = generation
		}
	}
	m["source-tester"] = fmt.Sprint(runs)
	return m, behind
}

// notReady says why an object is not Ready; "" when it is.
func notReady(object unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	for _, one := range conditions {
		if condition, ok := one.(map[string]any); ok && condition["type"] == "Ready" && condition["status"] == "True" && observed == object.GetGeneration() {
			return ""
		}
	}
	return fmt.Sprintf("%s %s: %v", object.GetKind(), object.GetName(), conditions)
}

// await waits until something new is delivered and all is quiet, and returns the marks.
func (e *events) await(what, workload string, before marks) marks {
	e.t.Helper()
	var last marks
	quiet := 0 // how many looks in a row have seen the same
	e.eventually(what, func() (bool, string) {
		now, behind := e.look(workload)
		if behind != "" || len(now) < len(fromSource)+1 || now["delivery/deployer"] == before["delivery/deployer"] || !maps.Equal(now, last) {
			last, quiet = now, 0
			return false, fmt.Sprint(behind, " ", now)
		}
		quiet++
		return quiet >= 10, fmt.Sprint("not quiet: ", now)
	})
	return last
}

// inOrder makes sure that each stage of a new workload gave out what it made after those before it.
func (e *events) inOrder(workload string) {
	e.t.Helper()
	var object unstructured.Unstructured
	if err := json.Unmarshal([]byte(e.kubectl("get", "workload", workload, "-n", "events", "-o", "json")), &object); err != nil {
		e.t.Fatal(err)
	}
	resources, _, _ := unstructured.NestedSlice(object.Object, "status", "resources")
	var order []string
	last := ""
	for _, one := range resources {
		resource := one.(map[string]any)
		order = append(order, fmt.Sprint(resource["name"]))
		outputs, _, _ := unstructured.NestedSlice(resource, "outputs")
		for _, output := range outputs {
			at := fmt.Sprint(output.(map[string]any)["lastTransitionTime"])
			if at < last {
				e.t.Errorf("%s gave out something at %s, before the stages before it (%s)", resource["name"], at, last)
			}
			last = max(last, at)
		}
	}
	want := []string{"source-provider", "source-tester", "image-provider", "config-provider", "app-config", "service-bindings", "api-descriptors", "config-writer", "deliverable"}
	if diff := cmp.Diff(want, order); diff != "" {
		e.t.Errorf("stages (-want +got):\n%s", diff)
	}
}

// red : a commit that breaks the tests comes no further than those, and one that repairs them is delivered.
func (e *events) red() {
	e.t.Helper()
	before := e.marks("shop")
	if err := os.WriteFile(filepath.Join(e.dir, "broken"), nil, 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.push("broken")
	e.sees("the tests are red", func(out string) bool { return strings.Contains(out, "False") },
		"get", "workload", "shop", "-n", "events", "-o", `jsonpath={.status.resources[?(@.name=="source-tester")].conditions[?(@.type=="Ready")].status}`)
	if why := e.try("why", "shop", "-n", "events", "--name", e.name); !strings.Contains(why.all(), "the source is broken") {
		e.t.Errorf("why does not show the last lines of the tests:\n%s", why.all())
	}
	now := e.marks("shop")
	for stage := range before {
		if ran := before[stage] != now[stage]; ran != (stage == "source-provider" || stage == "source-tester") {
			e.t.Errorf("a red commit: stage %s ran again: %t", stage, ran)
		}
	}
	if err := os.Remove(filepath.Join(e.dir, "broken")); err != nil {
		e.t.Fatal(err)
	}
	replace(e.t, filepath.Join(e.dir, "main.go"), "second", "third")
	e.push("repaired")
	e.await("the repair is delivered", "shop", before)
}

// ten workloads at once all come to their pods, each with a commit of its own.
func (e *events) ten() {
	e.t.Helper()
	var all strings.Builder
	for i := range 10 {
		all.WriteString(e.workload(fmt.Sprintf("ten-%d", i)))
	}
	start := time.Now()
	e.apply(all.String())
	e.sees("ten apps are delivered", func(out string) bool { return strings.Count(out, "True") == 10 },
		"get", "workloads", "-n", "events", "-o", `jsonpath={range .items[?(@.metadata.name!="shop")]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}`)
	e.t.Logf("ten workloads at once: %v until all are delivered", time.Since(start).Round(10*time.Millisecond))
	var commits []gitCommit
	if err := json.Unmarshal([]byte(e.run("git", "log", "slipway/config", "--name", e.name, "--limit", "1000", "-o", "json").stdout), &commits); err != nil {
		e.t.Fatal(err)
	}
	for i := range 10 {
		app := fmt.Sprintf("ten-%d", i)
		own := 0
		for _, commit := range commits {
			if slices.ContainsFunc(commit.Files, func(file string) bool { return strings.HasPrefix(file, "config/events/"+app+"/") }) {
				own++
			}
		}
		m, behind := e.look(app)
		if own != 1 || behind != "" || m["source-tester"] != "1" {
			e.t.Errorf("%s: %d commits, %s test runs, %s", app, own, m["source-tester"], behind)
		}
	}
	e.kubectl("delete", "workloads", "-n", "events", "--all")
}

// dev follows a save to the delivered pod, and no further: what it says is there answers.
func (e *events) dev() {
	e.t.Helper()
	plan := e.kubectl("get", "testplan", "check", "-n", "events", "-o", "jsonpath={.spec.image}")
	dir := copyDir(e.t, filepath.Join(examples(e.t), "tested"))
	e.noPlan(dir, fmt.Sprintf(`{"apiVersion":"slipway.dev/v1alpha1","kind":"TestPlan","metadata":{"name":"check","namespace":"default",
		"labels":{"apps.tanzu.vmware.com/pipeline":"test"}},"spec":{"image":%q,"command":["/app"]}}`, plan))
	for _, answer := range []string{"High tide in", "Flood in"} {
		main := filepath.Join(dir, "main.go")
		content, err := os.ReadFile(main)
		if err != nil {
			e.t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(content), `Fprintf(w, "`)
		_, after, _ := strings.Cut(rest, " %s")
		if err := os.WriteFile(main, []byte(before+`Fprintf(w, "`+answer+" %s"+after), 0o644); err != nil {
			e.t.Fatal(err)
		}
		took := e.run("dev", dir, "--name", e.name, "--once").took
		e.t.Logf("dev --once: %v to the delivered pod", took.Round(10*time.Millisecond))
		if _, body, err := get(e.t.Context(), e.appURL("tested")); err != nil || !strings.HasPrefix(body, answer) {
			e.t.Errorf("dev has ended, and the app answers %q, %v; want %q", body, err, answer)
		}
	}
	// A red test ends the run, with its last lines.
	if err := os.WriteFile(filepath.Join(dir, "broken"), nil, 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.fails(1, []string{"source-tester", "the source is broken"}, "dev", dir, "--name", e.name, "--once")
}
