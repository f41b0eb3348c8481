package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/explain"
)

// aTree is a workload whose deployment waits for a pod.
func aTree() *explain.Node {
	before := time.Now().Add(-5 * time.Minute)
	node := func(name, kind string, state metav1.ConditionStatus, children ...*explain.Node) *explain.Node {
		return &explain.Node{Name: name, Kind: kind, Object: "hello", State: state, Since: &before, Children: children}
	}
	pod := node("pod", "Pod", metav1.ConditionFalse)
	pod.Message = "pod hello: container workload does not start: ErrImagePull: there is no such image anywhere"
	deployment := node("deployment", "Deployment", metav1.ConditionUnknown, pod)
	deployment.Reason, deployment.Message, deployment.Inputs = "AvailableCondition", "it has no pod", []string{"source-provider", "image-provider"}
	image := node("image-provider", "Image", metav1.ConditionTrue, deployment)
	image.Revision = "localhost:5000/apps/hello@sha256:0123456789abcdef0123456789abcdef"
	source := node("source-provider", "Source", metav1.ConditionTrue)
	source.Revision = "main@sha1:0123456789abcdef0123"
	root := node("hello", "Workload", metav1.ConditionUnknown, source, image)
	root.Blueprint, root.Reason, root.Message = "basic", "AvailableCondition", "it has no pod"
	return root
}

func explained(t *testing.T, root *explain.Node, args ...string) (code int, out string) {
	t.Helper()
	t.Setenv("KUBECONFIG", kubeconfig(t))
	d, stdout, errOut, _ := testDeps(t)
	d.Streams.OutIsTerminal, d.Streams.Columns, d.Streams.NoColor = true, 80, true
	d.Explain = func(_ context.Context, _ *rest.Config, namespace string, target explain.Target) (*explain.Node, error) {
		if want := (explain.Target{Kind: root.Kind, Name: "hello"}); namespace != "team" || target != want {
			t.Errorf("asked for %s in %s, want %s", target, namespace, want)
		}
		return root, nil
	}
	code = app.RunWith(t.Context(), d, args)
	if errOut.Len() > 0 {
		t.Errorf("stderr = %q, want nothing", errOut)
	}
	return code, stdout.String()
}

func TestTree(t *testing.T) {
	code, out := explained(t, aTree(), "tree", "hello", "-n", "team")
	want := `
team/hello                        Waiting  5m  supply chain basic
├─ source-provider  Source hello  Ready    5m  main@0123456789ab
└─ image-provider   Image hello   Ready    5m  hello@0123456789ab
   └─ deployment    hello         Waiting  5m
      │  takes from source-provider, image-provider; AvailableCondition: it has
      │  no pod
      └─ pod        hello         Failed   5m
            container workload does not start: ErrImagePull: there is no such
            image anywhere
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out); diff != "" || code != app.ExitFine {
		t.Errorf("exit code %d (-want +got):\n%s", code, diff)
	}
	if code, out = explained(t, aTree(), "tree", "hello", "-n", "team", "-o", "json"); code != app.ExitFine || !strings.Contains(out, `"blueprint": "basic"`) {
		t.Errorf("as JSON, with exit code %d: %s", code, out)
	}
}

func TestWhy(t *testing.T) {
	code, out := explained(t, aTree(), "why", "hello", "-n", "team")
	want := "Workload team/hello is not Ready, because Pod hello has failed (5m ago):\n" +
		"container workload does not start: ErrImagePull: there is no such image\nanywhere.\n"
	if out != want || code != app.ExitFailed {
		t.Errorf("exit code %d: %q, want %q", code, out, want)
	}
	ready := aTree()
	ready.State, ready.Children = metav1.ConditionTrue, nil
	if code, out = explained(t, ready, "why", "hello", "-n", "team"); code != app.ExitFine || !strings.HasPrefix(out, "Workload team/hello is Ready (for 5m)") {
		t.Errorf("exit code %d: %q", code, out)
	}
}

// aDelivery is a deliverable whose release has failed.
func aDelivery() *explain.Node {
	before := time.Now().Add(-5 * time.Minute)
	release := &explain.Node{Name: "deployer", Kind: "Release", Object: "hello", State: metav1.ConditionFalse, Since: &before, Message: "Deployment hello does not start"}
	return &explain.Node{Name: "hello", Kind: "Deliverable", Object: "hello", State: metav1.ConditionFalse, Since: &before, Blueprint: "gitops", Children: []*explain.Node{release}}
}

func TestTreeOfADeliverable(t *testing.T) {
	code, out := explained(t, aDelivery(), "tree", "deliverable/hello", "-n", "team")
	want := `
team/hello   Deliverable    Failed  5m  delivery gitops
└─ deployer  Release hello  Failed  5m
      Deployment hello does not start
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out); diff != "" || code != app.ExitFine {
		t.Errorf("exit code %d (-want +got):\n%s", code, diff)
	}
	if code, out = explained(t, aDelivery(), "tree", "deliverables.carto.run/hello", "-n", "team", "-o", "json"); code != app.ExitFine || !strings.Contains(out, `"kind": "Deliverable"`) {
		t.Errorf("as JSON, with exit code %d: %s", code, out)
	}
}

func TestWhyOfADeliverable(t *testing.T) {
	code, out := explained(t, aDelivery(), "why", "deliverable/hello", "-n", "team")
	want := "Deliverable team/hello is not Ready, because stage deployer (Release hello) has\nfailed (5m ago): Deployment hello does not start.\n"
	if out != want || code != app.ExitFailed {
		t.Errorf("exit code %d: %q, want %q", code, out, want)
	}
	code, out = explained(t, aDelivery(), "why", "deliverable/hello", "-n", "team", "-o", "json")
	for _, word := range []string{`"kind": "Deliverable"`, `"ready": false`, `"why": "Deliverable team/hello is not Ready, because`} {
		if !strings.Contains(out, word) || code != app.ExitFailed {
			t.Errorf("as JSON, with exit code %d, want %s in it: %s", code, word, out)
		}
	}
	ready := &explain.Node{Name: "hello", Kind: "Deliverable", State: metav1.ConditionTrue, Blueprint: "gitops"}
	if code, out = explained(t, ready, "why", "deliverable/hello", "-n", "team"); code != app.ExitFine || !strings.Contains(out, "delivery gitops has brought it all the way") {
		t.Errorf("exit code %d: %q", code, out)
	}
}

// TestExplainedArgument : what tree and why take, and what a shell offers.
func TestExplainedArgument(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t))
	list := func(names ...string) func(context.Context, *rest.Config, string) ([]string, error) {
		return func(_ context.Context, _ *rest.Config, namespace string) ([]string, error) {
			if namespace != "team" {
				t.Errorf("asked for the names of namespace %s", namespace)
			}
			return names, nil
		}
	}
	for args, want := range map[string]string{
		"":                "one workload-too workload/ deliverable/ :6",
		"deliverable/":    "deliverable/two :4",
		"deliverables/t":  "deliverables/two :4",
		"workload/":       "workload/one workload/workload-too :4",
		"source/":         ":4",
		"hello something": ":4",
	} {
		for _, verb := range []string{"tree", "why"} {
			d, out, _, _ := testDeps(t)
			d.Workloads, d.Deliverables = list("one", "workload-too"), list("two")
			words := strings.Split(args, " ")
			app.RunWith(t.Context(), d, append([]string{"__complete", verb, "-n", "team"}, words...))
			if got := strings.Join(strings.Fields(out.String()), " "); got != want {
				t.Errorf("%s %q is completed to %q, want %q", verb, args, got, want)
			}
		}
	}
	for _, args := range []string{"tree", "tree a b", "tree source/hello", "tree deliverable/", "why", "why source/hello"} {
		d, _, errOut, _ := testDeps(t)
		if code := app.RunWith(t.Context(), d, strings.Fields(args)); code != app.ExitUsage || errOut.Len() == 0 {
			t.Errorf("%s: exit code %d: %s", args, code, errOut)
		}
	}
}

// kubeconfig is one with the environment's context.
func kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	content := `{apiVersion: v1, kind: Config, clusters: [{name: kind-slipway, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: kind-slipway, user: {}}],
contexts: [{name: kind-slipway, context: {cluster: kind-slipway, user: kind-slipway}}]}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTreeBesideAnother has stages below one that is not the last of its siblings: the lines of a tree keep their columns.
func TestTreeBesideAnother(t *testing.T) {
	node := func(name, kind string, state metav1.ConditionStatus, children ...*explain.Node) *explain.Node {
		return &explain.Node{Name: name, Kind: kind, Object: "hello", State: state, Children: children}
	}
	tester := node("source-tester", "Runnable", metav1.ConditionFalse, node("image-provider", "Build", metav1.ConditionUnknown))
	tester.Message = "there is no TestPlan"
	root := node("hello", "Workload", metav1.ConditionFalse, node("source-provider", "Source", metav1.ConditionTrue, tester), node("deliverable", "Deliverable", metav1.ConditionUnknown))
	root.Message = "there is no repository"
	_, out := explained(t, root, "tree", "hello", "-n", "team")
	want := `
team/hello                               Failed     no supply chain
├─ source-provider       Source hello    Ready
│  └─ source-tester      Runnable hello  Failed
│     │  there is no TestPlan
│     └─ image-provider  Build hello     Waiting
└─ deliverable           hello           Waiting
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
