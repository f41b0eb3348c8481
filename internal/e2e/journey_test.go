package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway.dev/slipway/internal/ui"
)

// TestJourney is the main job from end to end, in the order in which a user does it, on one environment.
func TestJourney(t *testing.T) {
	e := newEnv(t, "e2e")
	r := e.run("up", "--name", e.name)
	t.Logf("up took %v\n%s", r.took, r.all())
	registry := e.status().Registry.Address

	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"up leaves everything ready", func(t *testing.T) { upIsReady(e.in(t)) }},
		{"up again does nothing", func(t *testing.T) { upAgain(e.in(t)) }},
		{"dev --once, an edit, and a report", func(t *testing.T) { devOnce(e.in(t)) }},
		{"dev follows saves", func(t *testing.T) { devLoop(e.in(t)) }},
		{"an app that crashes is told of", func(t *testing.T) { devCrash(e.in(t)) }},
		{"dev with bad input", func(t *testing.T) { devBadInput(e.in(t)) }},
		{"the examples run", func(t *testing.T) { examplesRun(e.in(t)) }},
		{"the registry forgets what nothing uses", func(t *testing.T) { registryForgets(e.in(t), registry) }},
		{"an image pushed by hand", func(t *testing.T) { pushedByHand(e.in(t), registry) }},
		{"a chain of the user's own", func(t *testing.T) { ownChain(e.in(t), registry) }},
		{"a chain that starts at source", func(t *testing.T) { sourceChain(e.in(t), registry) }},
		{"what breaks a rule is refused", func(t *testing.T) { wrongIsRefused(e.in(t)) }},
		{"the kinds read well", func(t *testing.T) { kindsReadWell(e.in(t)) }},
		{"up heals what is broken", func(t *testing.T) { heals(e.in(t)) }},
		{"without push events", func(t *testing.T) { withoutEvents(e.in(t), registry) }},
		{"another profile", func(t *testing.T) { otherProfile(e.in(t)) }},
		{"two environments", func(t *testing.T) { twoEnvironments(e.in(t)) }},
		{"down leaves nothing", func(t *testing.T) { downLeavesNothing(e.in(t)) }},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			return // what follows builds on it
		}
	}
}

// in is the environment with another test to report to.
func (e *env) in(t *testing.T) *env {
	copied := *e
	copied.t = t
	return &copied
}

func upIsReady(e *env) {
	s := e.status()
	if !s.Ready || len(s.Components) == 0 {
		e.t.Errorf("status after up: %+v", s)
	}
	if got := e.context(); got != "kind-"+e.name {
		e.t.Errorf("current context = %q, want kind-%s: none was set before", got, e.name)
	}
	// cert-manager is usable, not merely available.
	e.apply(`
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: mine}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: mine}
spec: {secretName: mine, dnsNames: [mine.example], issuerRef: {name: mine}}
`)
	e.sees("the certificate is issued", func(out string) bool { return out == "True" },
		"get", "certificate", "mine", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	hosting := e.kubectl("get", "configmap", "-n", "kube-public", "local-registry-hosting", "-o", `jsonpath={.data.localRegistryHosting\.v1}`)
	for _, field := range []string{"host:", "hostFromContainerRuntime:", "hostFromClusterNetwork:", "help:"} {
		if !strings.Contains(hosting, field) {
			e.t.Errorf("the KEP-1755 ConfigMap has no %s\n%s", field, hosting)
		}
	}
	if servers := e.kubectl("get", "deployment", "-n", "kube-system", "coredns", "-o", "jsonpath={.spec.replicas}"); servers != "1" {
		e.t.Errorf("the cluster has %s DNS servers, want 1", servers)
	}
	bound := docker(e.t, "port", e.name+"-registry")
	if strings.Contains(bound, "0.0.0.0") || strings.Contains(bound, "[::]") || !strings.Contains(bound, "127.0.0.1") {
		e.t.Errorf("the registry is bound to more than loopback: %s", bound)
	}
}

// context is the kubeconfig's current context.
func (e *env) context() string {
	content, err := os.ReadFile(e.kubeconfig)
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if current, found := strings.CutPrefix(line, "current-context: "); found {
			return strings.TrimSpace(current)
		}
	}
	return ""
}

// changes runs up and returns what its steps did: the ids of those that changed something.
func (e *env) changes(arguments ...string) []string {
	e.t.Helper()
	r := e.run(append([]string{"up", "--name", e.name, "--progress", "json"}, arguments...)...)
	var changed []string
	scanner := bufio.NewScanner(strings.NewReader(r.stdout))
	for scanner.Scan() {
		var event ui.Event
		if json.Unmarshal(scanner.Bytes(), &event) == nil && event.Type == "done" {
			changed = append(changed, event.ID)
		}
	}
	e.t.Logf("up %v took %v and changed %v", arguments, r.took, changed)
	return changed
}

func upAgain(e *env) {
	if changed := e.changes(); len(changed) > 0 {
		e.t.Errorf("up changed %v although everything was there", changed)
	}
}

func hello(e *env) (dir, url string) {
	return copyDir(e.t, filepath.Join("..", "..", "examples", "hello")), e.appURL("hello")
}

// appURL is where an app in the namespace default answers, through the ports that up reserved.
func (e *env) appURL(app string) string {
	for _, u := range e.status().URLs {
		if u.Title == "Apps" {
			return strings.Replace(u.URL, "localhost", app+".default.localhost", 1)
		}
	}
	e.t.Fatal("status has no URL of the apps")
	return ""
}

const helloVersion, helloGreeting = "1.0.0", "Hello"

func devOnce(e *env) {
	dir, url := hello(e)
	report := filepath.Join(e.home, "report.xml")
	r := e.run("dev", dir, "--name", e.name, "--once", "--report", report)
	e.t.Logf("dev --once took %v\n%s", r.took, r.all())
	if !strings.Contains(r.all(), url) {
		e.t.Errorf("dev does not say the URL %s", url)
	}
	e.answers(url, helloVersion)
	for _, file := range []string{report, strings.TrimSuffix(report, ".xml") + ".json"} {
		if content, err := os.ReadFile(file); err != nil || len(content) == 0 {
			e.t.Errorf("no report %s: %v", file, err)
		}
	}
	replace(e.t, filepath.Join(dir, "main.go"), helloVersion, "1.0.1")
	e.run("dev", dir, "--name", e.name, "--once")
	e.answers(url, "1.0.1")
	if again := e.run("dev", dir, "--name", e.name, "--once"); again.code != 0 {
		e.t.Errorf("dev with nothing new: %s", again.all())
	}
	if s := e.status(); !s.Ready || len(s.Workloads) != 1 || s.Workloads[0].URL != url {
		e.t.Errorf("status after dev: %+v", s)
	}
}

func devLoop(e *env) {
	dir, url := hello(e)
	builds := e.countsGoBuilds()
	dev := e.start("dev", dir, "--name", e.name, "--progress", "plain")
	e.answers(url, helloVersion)
	dev.says("Watching")

	main := filepath.Join(dir, "main.go")
	replace(e.t, main, helloVersion, "2.0.0")
	e.answers(url, "2.0.0")

	// A build error is shown, and the loop goes on.
	replace(e.t, main, "func main() {", "func main() { nonsense")
	dev.says("nonsense")
	replace(e.t, main, "func main() { nonsense", "func main() {")
	replace(e.t, main, "2.0.0", "2.0.1")
	e.answers(url, "2.0.1")

	// As soon as it has learnt how, it makes the program without the go command.
	before, version := builds(), "2.0.1"
	for i := 2; builds() != before || version == "2.0.1"; i++ {
		if i > 20 {
			e.t.Fatalf("each save calls go build\n%s", dev.text())
		}
		before = builds()
		next := fmt.Sprintf("2.0.%d", i)
		replace(e.t, main, version, next)
		e.answers(url, next)
		version = next
	}

	dev.signal(syscall.SIGINT, true)
	if code := dev.wait(); code != 130 {
		e.t.Errorf("Ctrl-C ends dev with %d, want 130\n%s", code, dev.text())
	}
}

// countsGoBuilds puts a go command in PATH that counts how often it has built.
func (e *env) countsGoBuilds() func() int {
	e.t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		e.t.Fatal(err)
	}
	e.path = e.t.TempDir()
	log := filepath.Join(e.path, "log")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != build ] || echo build >>'%s'\nexec '%s' \"$@\"\n", log, program)
	if err := os.WriteFile(filepath.Join(e.path, "go"), []byte(script), 0o755); err != nil {
		e.t.Fatal(err)
	}
	return func() int {
		content, err := os.ReadFile(log)
		if err != nil {
			e.t.Fatal(err)
		}
		return strings.Count(string(content), "build")
	}
}

func devCrash(e *env) {
	dir, _ := hello(e)
	replace(e.t, filepath.Join(dir, "workload.yaml"), "name: hello", "name: crashes")
	replace(e.t, filepath.Join(dir, "main.go"), "func main() {", "func main() {\n\tpanic(\"no anchor aboard\")\n")
	r := e.fails(1, nil, "dev", dir, "--name", e.name, "--once")
	if !strings.Contains(r.all(), "no anchor aboard") {
		e.t.Errorf("the program's last lines are not shown:\n%s", r.all())
	}
	found, err := filepath.Glob(filepath.Join(e.home, "slipway-diagnose-*", "*"))
	if err != nil || len(found) == 0 {
		e.t.Errorf("no diagnosis was left in %s\n%s", e.home, r.all())
	}
	e.kubectl("delete", "workload", "crashes")
}

// devBadInput: each mistake is one clear message, and nothing was applied.
func devBadInput(e *env) {
	for _, test := range []struct {
		name   string
		spoils func(dir string) error
		words  []string
	}{
		{"no workload.yaml", func(dir string) error { return os.Remove(filepath.Join(dir, "workload.yaml")) }, []string{"workload.yaml"}},
		{"a workload.yaml that does not parse", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "workload.yaml"), []byte("apiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: [oops\n"), 0o600)
		}, []string{"workload.yaml"}},
		{"a misspelt field", func(dir string) error { return spoil(dir, "workload.yaml", "spec:", "sepc:") }, []string{"sepc"}},
		{"labels that choose no supply chain", func(dir string) error {
			return spoil(dir, "workload.yaml", "workload-type: web", "workload-type: submarine")
		},
			[]string{"supply chain", "basic-image-to-url"}},
		{"nothing that builds", func(dir string) error { return os.Remove(filepath.Join(dir, "main.go")) }, []string{"nothing here builds"}},
	} {
		dir, _ := hello(e)
		replace(e.t, filepath.Join(dir, "workload.yaml"), "name: hello", "name: spoilt")
		if err := test.spoils(dir); err != nil {
			e.t.Fatalf("%s: %v", test.name, err)
		}
		e.fails(1, append(test.words, "Hint:"), "dev", dir, "--name", e.name, "--once")
		if out, err := e.tryKubectl("", "get", "workload", "spoilt"); err == nil {
			e.t.Errorf("%s: a workload was applied all the same:\n%s", test.name, out)
		}
	}
}

// spoil edits a file of a folder.
func spoil(dir, file, old, with string) error {
	path := filepath.Join(dir, file)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), old) {
		return fmt.Errorf("%s has no %q", file, old)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(content), old, with, 1)), 0o600)
}

const handWorkload = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: demo
  labels:
    app.tanzu.vmware.com/workload-type: web
spec:
  serviceAccountName: admin
  params:
    - name: image_prefix
      value: %s/apps/
`

func pushedByHand(e *env, registry string) {
	ref := registry + "/apps/demo"
	first := push(e.t, ref, buildApp(e.t, "first"))
	e.apply(fmt.Sprintf(handWorkload, registry))
	e.sees("the Image has the digest", func(out string) bool { return out == first+" true" },
		"get", "images.slipway.dev", "demo", "-o", "jsonpath={.status.latestImage} {.status.complete}")
	e.sees("the workload is ready", func(out string) bool { return out == "True" },
		"get", "workload", "demo", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	e.answers(e.appURL("demo"), "first")

	second := push(e.t, ref, buildApp(e.t, "second"))
	took := e.sees("the Deployment has the new image", func(out string) bool { return out == second },
		"get", "deployment", "demo", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	e.t.Logf("from the push to the Deployment: %v, with push events", took)
	e.answers(e.appURL("demo"), "second")
}

func withoutEvents(e *env, registry string) {
	e.changes("--registry-events=false")
	third := push(e.t, registry+"/apps/demo", buildApp(e.t, "third"))
	took := e.sees("the Deployment has the new image", func(out string) bool { return out == third },
		"get", "deployment", "demo", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	e.t.Logf("from the push to the Deployment: %v, by polling", took)
	e.changes()
}

func ownChain(e *env, registry string) {
	image := push(e.t, registry+"/apps/own", buildApp(e.t, "own"))
	manifests, err := os.ReadFile(filepath.Join("testdata", "own-chain.yaml"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.apply(strings.ReplaceAll(string(manifests), "REGISTRY", registry))
	e.sees("the workload's pod runs the image", func(out string) bool { return out == image },
		"get", "pods", "-n", "team", "-l", "app=own", "--field-selector", "status.phase=Running", "-o", "jsonpath={.items[*].spec.containers[0].image}")
	e.sees("the workload is ready", func(out string) bool { return out == "True Ready" },
		"get", "workload", "own", "-n", "team", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}`)
	e.kubectl("delete", "namespace", "team")
}

func kindsReadWell(e *env) {
	for _, test := range []struct {
		columns   []string
		arguments []string
	}{
		{[]string{"IMAGE", "LATEST", "READY", "AGE"}, []string{"get", "images.slipway.dev"}},
		{[]string{"SOURCE", "SUPPLYCHAIN", "READY", "REASON", "AGE"}, []string{"get", "workloads"}},
		{[]string{"READY", "REASON", "AGE"}, []string{"get", "clustersupplychains"}},
	} {
		out := e.kubectl(test.arguments...)
		header, _, _ := strings.Cut(out, "\n")
		for _, column := range test.columns {
			if !strings.Contains(header, column) {
				e.t.Errorf("kubectl %v has no column %s:\n%s", test.arguments, column, out)
			}
		}
	}
	if out := e.kubectl("explain", "workload.spec"); !strings.Contains(out, "serviceAccountName") || !strings.Contains(out, "DESCRIPTION") {
		e.t.Errorf("kubectl explain workload.spec:\n%s", out)
	}
}
