package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const builtWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: app
  namespace: builds
  labels: {example.com/built: "yes"}
spec:
  serviceAccountName: stamper
`

// A chain asks for images of its source: dev answers for a folder that it follows, and `slipway build` for all others.
func TestBuild(t *testing.T) {
	e := newEnv(t, "e2e-build")
	e.run("up", "--name", e.name, "--profile", "minimal")
	registry := e.status().Registry.Address
	manifests, err := os.ReadFile(filepath.Join("testdata", "build-chain.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e.apply(strings.ReplaceAll(string(manifests), "REGISTRY", registry))
	push(t, registry+"/bases/small", buildApp(t, "first"))
	dir := t.TempDir()
	for file, content := range map[string]string{
		"workload.yaml": builtWorkload, "go.mod": "module app\n\ngo 1.24\n", "main.go": "package main\n\nimport \"time\"\n\nfunc main() {\n\tprintln(\"one\")\n\ttime.Sleep(24 * time.Hour)\n}\n",
		"slipway.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: " + registry + "/bases/small}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	// dev gives the image, and without dev it has the same digest.
	e.run("dev", dir, "--name", e.name, "--once")
	first := e.built("True Built SOURCE 1")
	if running := e.kubectl("get", "deployment", "app", "-n", "builds", "-o", "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"); running != first+" 1" {
		t.Errorf("running %s, want %s", running, first)
	}
	e.kubectl("annotate", "build", "app", "-n", "builds", "slipway.dev/requested-at=1")
	e.built("Unknown NobodyBuilds SOURCE 1")
	if why := e.try("why", "app", "-n", "builds", "--name", e.name); why.code != 1 || !strings.Contains(why.stdout, "slipway build --watch") {
		t.Errorf("why: exit code %d\n%s", why.code, why.all())
	}
	if outcomes := e.build(0); len(outcomes) != 1 || outcomes[0].Image != first || outcomes[0].Error != "" || outcomes[0].Reason != "MANUAL" {
		t.Errorf("outcomes %+v, want the image %s", outcomes, first)
	}
	e.built("True Built MANUAL 2")
	if outcomes := e.build(0); len(outcomes) != 0 {
		t.Errorf("outcomes %+v", outcomes)
	}

	// What does not build ends dev at once, and is said where it is asked for.
	replace(t, filepath.Join(dir, "main.go"), "println", "printline")
	e.fails(1, []string{"undefined: printline"}, "dev", dir, "--name", e.name, "--once")
	e.try("build", "--name", e.name) // dev may have ended before it was asked
	e.built("False BuildFailed MANUAL 2")
	e.kubectl("annotate", "--overwrite", "build", "app", "-n", "builds", "slipway.dev/requested-at=2")
	e.built("Unknown NobodyBuilds MANUAL 2")
	if outcomes := e.build(1); len(outcomes) != 1 || outcomes[0].Image != "" || !strings.Contains(outcomes[0].Error, "undefined: printline") {
		t.Errorf("outcomes %+v", outcomes)
	}
	e.built("False BuildFailed MANUAL 2")
	if why := e.try("why", "app", "-n", "builds", "--name", e.name); why.code != 1 || !strings.Contains(why.stdout, "undefined: printline") {
		t.Errorf("why: exit code %d\n%s", why.code, why.all())
	}

	// Repaired, with dev at work; then on a newer base, which a watching builder hears of.
	replace(t, filepath.Join(dir, "main.go"), "printline", "print")
	dev := e.start("dev", dir, "--name", e.name, "--progress", "plain")
	dev.says("Watching")
	second := e.built("True Built SOURCE,MANUAL 3")
	if second == first {
		t.Error("another source has the same image")
	}
	replace(t, filepath.Join(dir, "main.go"), "one", "two")
	third := e.built("True Built SOURCE 4")
	dev.signal(syscall.SIGINT, true)
	dev.wait()

	watch := e.start("build", "--watch", "--name", e.name, "--progress", "plain")
	watch.says("Ctrl-C")
	push(t, registry+"/bases/small", buildApp(t, "second"))
	rebased := e.built("True Built BASE_IMAGE 5")
	if rebased == third || strings.Contains(watch.text(), "compiling") {
		t.Errorf("rebased from %s to %s:\n%s", third, rebased, watch.text())
	}
	e.sees("the rebased image runs", func(out string) bool { return out == rebased+" 1" },
		"get", "deployment", "app", "-n", "builds", "-o", "jsonpath={.spec.template.spec.containers[0].image} {.status.updatedReplicas}")
	watch.signal(syscall.SIGINT, true)
	watch.wait()
	e.run("dev", dir, "--name", e.name, "--once")
	if again := e.built("True Built BASE_IMAGE 5"); again != rebased {
		t.Errorf("dev gives %s on the newer base, and it was rebased to %s", again, rebased)
	}
}

// built waits until the Build is as wanted: its condition, its reason, why the last image was built and how many were. It
// returns the last image.
func (e *env) built(want string) (image string) {
	e.t.Helper()
	e.sees("the build is "+want, func(out string) bool {
		state := ""
		image, state, _ = strings.Cut(out, " ")
		return state == want
	}, "get", "build", "app", "-n", "builds", "-o",
		`jsonpath={.status.latestImage} {.status.conditions[0].status} {.status.conditions[0].reason} {.status.latestReason} {.status.builds}`)
	return image
}

type builtOutcome struct{ Namespace, Name, Reason, Image, Error string }

// build runs `slipway build`, which must end with the code.
func (e *env) build(code int) (outcomes []builtOutcome) {
	e.t.Helper()
	r := e.try("build", "--name", e.name, "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &outcomes); err != nil || r.code != code {
		e.t.Errorf("slipway build: exit code %d, want %d, %v\n%s", r.code, code, err, r.all())
	}
	return outcomes
}
