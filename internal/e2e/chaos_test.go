package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const chaosWorkloads = 200

// chaosBlows are what ends under way, one after the other; when, chance decides. A controller that is started again in
// its pod has the lease at once, one in a new pod waits for it, and the kubelet puts neither off: it does that only with
// what ends twice in one pod. The API server takes long to come back, so that it ends only once.
var chaosBlows = []struct{ name, process, selector string }{
	{"the controller's process", "slipwayd", ""},
	{"the API server", "kube-apiserver", ""},
	{"the controller's pod", "slipwayd", "app.kubernetes.io/name=slipway-controller"},
	{"the controller's process", "slipwayd", ""},
	{"the controller's pod", "slipwayd", "app.kubernetes.io/name=slipway-controller"},
	{"the controller's process", "slipwayd", ""},
}

// stampedThing is what the chaos test reads of an object.
type stampedThing struct {
	Metadata struct {
		Name, UID       string
		Labels          map[string]string
		OwnerReferences []struct {
			Kind, Name, UID string
			Controller      bool
		}
	}
	Status struct {
		Conditions []struct{ Type, Status string }
	}
}

// TestChaos ends the controller and the API server while 200 workloads are realised, each time in the middle of a batch
// of them: all end Ready, nothing is there twice, and nothing without an owner.
func TestChaos(t *testing.T) {
	e := newEnv(t, "e2e-chaos")
	e.run("up", "--name", e.name, "--profile", "minimal")
	chain, err := os.ReadFile(filepath.Join("testdata", "chaos.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	e.apply(string(chain))
	for i, blow := range chaosBlows {
		from, to := chaosWorkloads*i/len(chaosBlows), chaosWorkloads*(i+1)/len(chaosBlows)
		e.applyEventually(chaosFleet(from, to))
		e.chaosReaches(fmt.Sprintf("a controller works on batch %d", i), from+1, 0)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		if e.killOnNode(blow.process) == 0 {
			t.Errorf("%s was not there to be ended", blow.name)
		}
		if blow.selector != "" {
			e.eventually("its pod is deleted", func() (bool, string) {
				out, err := e.tryKubectl("", "delete", "pod", "-n", "slipway-system", "-l", blow.selector, "--grace-period=0", "--force")
				return err == nil, out
			})
		}
	}
	e.chaosReaches("all workloads are Ready and all runs are made", chaosWorkloads, chaosWorkloads)
	e.assertOneOfEach()
}

// chaosReaches waits until so many workloads are Ready and so many runs made.
func (e *env) chaosReaches(what string, ready, runs int) {
	e.t.Helper()
	saw := ""
	took := e.eventually(what, func() (bool, string) {
		workloads, err := e.things("workloads")
		if err != nil {
			return false, err.Error()
		}
		configMaps, err := e.things("configmaps")
		if err != nil {
			return false, err.Error()
		}
		areReady, areMade := countReady(workloads), countOwned(configMaps, "Runnable")
		saw = fmt.Sprintf("%d Ready, %d runs", areReady, areMade)
		return areReady >= ready && areMade >= runs, saw
	})
	e.t.Logf("%s (%s) after %s", what, saw, took.Round(100*time.Millisecond))
}

// applyEventually applies while the API server may be away.
func (e *env) applyEventually(manifests string) {
	e.t.Helper()
	e.eventually("the manifests are applied", func() (bool, string) {
		out, err := e.tryKubectl(manifests, "apply", "-f", "-")
		return err == nil, out
	})
}

// chaosFleet is the manifest of the workloads from one number up to another.
func chaosFleet(from, to int) string {
	var manifest strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&manifest, "---\napiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: {name: w-%03d, namespace: chaos, labels: {chaos: \"yes\"}}\nspec: {}\n", i)
	}
	return manifest.String()
}

// killOnNode ends the processes of a name on the node with no time to put anything in order, and returns how many there
// were. The node need not have pidof or crictl.
func (e *env) killOnNode(name string) int {
	e.t.Helper()
	out := docker(e.t, "exec", e.name+"-control-plane", "sh", "-c", `for p in /proc/[0-9]*; do
  [ "$(cat $p/comm 2>/dev/null)" = `+name+` ] && kill -9 ${p#/proc/} && echo killed
done; true`)
	killed := strings.Count(out, "killed")
	e.t.Logf("killed %d %s", killed, name)
	return killed
}

func (e *env) things(kind string) ([]stampedThing, error) {
	out, err := e.tryKubectl("", "get", kind, "-n", "chaos", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	var list struct{ Items []stampedThing }
	err = json.Unmarshal([]byte(out), &list)
	return list.Items, err
}

func countReady(things []stampedThing) int {
	ready := 0
	for _, thing := range things {
		for _, condition := range thing.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				ready++
			}
		}
	}
	return ready
}

func countOwned(things []stampedThing, by string) int {
	owned := 0
	for _, thing := range things {
		for _, owner := range thing.Metadata.OwnerReferences {
			if owner.Kind == by {
				owned++
			}
		}
	}
	return owned
}

// assertOneOfEach checks that every workload has one object of each resource, and every Runnable one run, and that
// nothing is left that was stamped for something else, or is controlled by nothing.
func (e *env) assertOneOfEach() {
	e.t.Helper()
	owners := map[string]string{} // name by UID
	for _, kind := range []string{"workloads", "runnables"} {
		for _, thing := range e.mustThings(kind) {
			owners[thing.Metadata.UID] = kind + "/" + thing.Metadata.Name
		}
	}
	for _, test := range []struct{ kind, owners, label string }{
		{"configmaps", "workloads", "carto.run/workload-name"}, {"secrets", "workloads", "carto.run/workload-name"},
		{"runnables", "workloads", "carto.run/workload-name"}, {"configmaps", "runnables", "carto.run/runnable-name"},
	} {
		seen := map[string]string{}
		for _, thing := range e.mustThings(test.kind) {
			stampedFor, stamped := thing.Metadata.Labels[test.label]
			if !stamped {
				continue
			}
			if whose := thing.controller(owners); whose != test.owners+"/"+stampedFor {
				e.t.Errorf("%s %s was stamped for %s and is controlled by %q", test.kind, thing.Metadata.Name, stampedFor, whose)
			}
			if other, twice := seen[stampedFor]; twice {
				e.t.Errorf("%s %s has two %s: %s and %s", test.owners, stampedFor, test.kind, other, thing.Metadata.Name)
			}
			seen[stampedFor] = thing.Metadata.Name
		}
		if len(seen) != chaosWorkloads {
			e.t.Errorf("%d %s of %s, want %d", len(seen), test.kind, test.owners, chaosWorkloads)
		}
	}
}

// controller is the name of what controls a thing, among owners by UID; empty for what is none of them.
func (s stampedThing) controller(owners map[string]string) string {
	for _, owner := range s.Metadata.OwnerReferences {
		if owner.Controller {
			return owners[owner.UID]
		}
	}
	return ""
}

func (e *env) mustThings(kind string) []stampedThing {
	e.t.Helper()
	things, err := e.things(kind)
	if err != nil {
		e.t.Fatal(err)
	}
	return things
}
