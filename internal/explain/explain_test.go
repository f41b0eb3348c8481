package explain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/hint"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)

// TestExplain has a cluster's objects and what is said about the workload default/hello in it or, where the file's name
// says so, the deliverable.
func TestExplain(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			argument := "hello"
			if strings.HasPrefix(filepath.Base(file), "deliverable") {
				argument = "deliverable/hello"
			}
			target, err := ParseTarget(argument)
			if err != nil {
				t.Fatal(err)
			}
			root, err := (&Explainer{objects: cluster(t, string(archive.Files[0].Data))}).Explain(t.Context(), "default", target)
			if err != nil {
				t.Fatal(err)
			}
			outcome := map[string]string{"tree": draw(root, ""), "why": Why("default", root, now) + fmt.Sprintf("\nall ready: %t\n", root.AllReady())}
			for i := range archive.Files[1:] {
				part := &archive.Files[i+1]
				if *update {
					part.Data = []byte(outcome[part.Name])
				}
				if diff := cmp.Diff(string(part.Data), outcome[part.Name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", part.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func draw(node *Node, indent string) string {
	text := fmt.Sprintf("%s%s [%s %s] %s %s", indent, node.Name, node.Kind, node.Object, node.State, node.Reason)
	if node.Revision != "" {
		text += " " + node.Revision
	}
	if len(node.Inputs) > 0 {
		text += " < " + strings.Join(node.Inputs, ", ")
	}
	text += "\n"
	for _, child := range node.Children {
		text += draw(child, indent+"  ")
	}
	return text
}

func cluster(t *testing.T, documents string) *fake.FakeDynamicClient {
	t.Helper()
	lists := map[schema.GroupVersionResource]string{
		workloads: "WorkloadList", deliverables: "DeliverableList", deployments: "DeploymentList", replicaSets: "ReplicaSetList", pods: "PodList", testRuns: "TestRunList",
		gitCommits: "GitCommitList", releases: "ReleaseList", events: "EventList",
	}
	var objects []runtime.Object
	for document := range strings.SplitSeq(documents, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		object.SetNamespace("default")
		objects = append(objects, object)
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)
}

func TestNoSuchWorkload(t *testing.T) {
	e := &Explainer{objects: cluster(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}")}
	_, err := e.Workload(t.Context(), "default", "hello")
	if err == nil || err.Error() != "there is no workload hello in namespace default" || len(hint.Of(err)) != 1 {
		t.Errorf("%v, hints %q", err, hint.Of(err))
	}
	_, err = e.Deliverable(t.Context(), "default", "hello")
	if err == nil || err.Error() != "there is no deliverable hello in namespace default" || len(hint.Of(err)) != 1 {
		t.Errorf("%v, hints %q", err, hint.Of(err))
	}
}

func TestParseTarget(t *testing.T) {
	for argument, want := range map[string]Target{
		"hello":                        {Kind: "Workload", Name: "hello"},
		"workload/hello":               {Kind: "Workload", Name: "hello"},
		"Deliverables.carto.run/hello": {Kind: "Deliverable", Name: "hello"},
		"deliverable/hello":            {Kind: "Deliverable", Name: "hello"},
		"":                             {}, "deliverable/": {}, "source/hello": {}, "workload/a/b": {},
	} {
		if got, err := ParseTarget(argument); got != want || (err == nil) != (want.Name != "") {
			t.Errorf("%q is read as %+v, %v; want %+v", argument, got, err, want)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m", 47 * time.Hour: "47h", 50 * time.Hour: "2d"} {
		if got := Age(d); got != want {
			t.Errorf("Age(%s) = %s, want %s", d, got, want)
		}
	}
}

// TestCircle : inputs that go round do not lose a stage.
func TestCircle(t *testing.T) {
	e := &Explainer{objects: cluster(t, `apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: hello}
status:
  resources:
  - {name: a, inputs: [{name: b}]}
  - {name: b, inputs: [{name: a}, {name: b}]}`)}
	root, err := e.Workload(t.Context(), "default", "hello")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	root.walk(func(*Node) { count++ })
	if count != 2 {
		t.Errorf("%d stages, want 2:\n%s", count, draw(root, ""))
	}
}
