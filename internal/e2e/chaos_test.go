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

const (
	chaosWorkloads = 200
	// chaosBlows is how often something is ended under way.
	chaosBlows = 8
)

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

// TestChaos ends the controller and the API server, in random order and at random moments, while 200 workloads are
// realised: all end Ready, nothing is there twice, and nothing without an owner.
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
	e.apply(chaosFleet())
	e.apply(string(chain))
	killed := map[string]int{}
	for i := range chaosBlows {
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		name := "slipwayd"
		// The API server takes long to come back, so it is ended seldom, and once for certain.
		if i == 1 || random.IntN(6) == 0 {
			name = "kube-apiserver"
		}
		killed[name] += e.killOnNode(name)
	}
	if killed["slipwayd"] == 0 || killed["kube-apiserver"] == 0 {
		t.Errorf("killed %v: this tested less than it should", killed)
	}
	e.eventually("all workloads are Ready and all runs are made", func() (bool, string) {
		workloads, err := e.things("workloads")
		if err != nil {
			return false, err.Error()
		}
		configMaps, err := e.things("configmaps")
		if err != nil {
			return false, err.Error()
		}
		ready := countReady(workloads)
		return ready == chaosWorkloads && countOwned(configMaps, "Runnable") >= chaosWorkloads,
			fmt.Sprintf("%d of %d Ready, %d runs", ready, chaosWorkloads, countOwned(configMaps, "Runnable"))
	})
	e.assertOneOfEach()
}

// chaosFleet is the manifest of the workloads and their namespace.
func chaosFleet() string {
	var manifest strings.Builder
	manifest.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: chaos}\n")
	for i := range chaosWorkloads {
		fmt.Fprintf(&manifest, "---\napiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: {name: w-%03d, namespace: chaos, labels: {chaos: \"yes\"}}\nspec: {}\n", i)
	}
	return manifest.String()
}

// killOnNode ends the processes of a name on the node with no time to put anything in order, and returns how many there
// were: none while the one before is still being started again by the kubelet. The node need not have pidof or crictl.
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
// there is nothing else.
func (e *env) assertOneOfEach() {
	e.t.Helper()
	owners := map[string]string{} // name by UID
	for _, kind := range []string{"workloads", "runnables"} {
		for _, thing := range e.mustThings(kind) {
			owners[thing.Metadata.UID] = kind + "/" + thing.Metadata.Name
		}
	}
	for _, test := range []struct{ kind, by string }{
		{"configmaps", "Workload"}, {"secrets", "Workload"}, {"runnables", "Workload"}, {"configmaps", "Runnable"},
	} {
		seen := map[string]string{}
		for _, thing := range e.mustThings(test.kind) {
			for _, owner := range thing.Metadata.OwnerReferences {
				if owner.Kind != test.by {
					continue
				}
				whose, known := owners[owner.UID]
				if !known {
					e.t.Errorf("%s %s belongs to %s %s, which is gone", test.kind, thing.Metadata.Name, owner.Kind, owner.Name)
				}
				if other, twice := seen[whose]; twice {
					e.t.Errorf("%s has two %s: %s and %s", whose, test.kind, other, thing.Metadata.Name)
				}
				seen[whose] = thing.Metadata.Name
			}
		}
		if len(seen) != chaosWorkloads {
			e.t.Errorf("%d %s of each %s, want %d", len(seen), test.kind, test.by, chaosWorkloads)
		}
	}
}

func (e *env) mustThings(kind string) []stampedThing {
	e.t.Helper()
	things, err := e.things(kind)
	if err != nil {
		e.t.Fatal(err)
	}
	return things
}
