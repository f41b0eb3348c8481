package wake

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

func TestParse(t *testing.T) {
	for argument, want := range map[string]string{
		"source/a": "source/a", "sources/a": "source/a", "Source/a": "source/a", "image.slipway.dev/b": "image/b", "releases/c": "release/c",
		"gitcommits.slipway.dev/d": "gitcommit/d", "GitCommit/d": "gitcommit/d", "build/e": "build/e",
		"deployment/a": "! nothing to ask a deployment for", "source/": "! has no name", "source": "! has no name",
	} {
		got, err := Parse("team", argument)
		said := got.String()
		if err != nil {
			said = "! " + err.Error()
		} else if got.Namespace != "team" {
			t.Errorf("%s is in namespace %q", argument, got.Namespace)
		}
		if said != want && (!strings.HasPrefix(want, "! ") || !strings.Contains(said, want[2:])) {
			t.Errorf("Parse(%q) = %s, want %s", argument, said, want)
		}
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	made := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), made); err != nil {
		t.Fatal(err)
	}
	return made
}

func cluster(t *testing.T, objects ...string) *fake.FakeDynamicClient {
	t.Helper()
	var made []runtime.Object
	for _, text := range objects {
		made = append(made, object(t, text))
	}
	lists := map[schema.GroupVersionResource]string{}
	for plural, kind := range map[string]string{"sources": "SourceList", "images": "ImageList", "releases": "ReleaseList", "gitcommits": "GitCommitList", "builds": "BuildList"} {
		lists[schema.GroupVersionResource{Group: "slipway.dev", Version: "v1alpha1", Resource: plural}] = kind
	}
	for plural, kind := range map[string]string{"workloads": "WorkloadList", "deliverables": "DeliverableList"} {
		lists[schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: plural}] = kind
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, made...)
}

const workload = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: hello, namespace: team}
status:
  resources:
    - {name: source-provider, stampedRef: {apiVersion: slipway.dev/v1alpha1, kind: Source, name: hello, namespace: team}}
    - {name: source-tester, stampedRef: {apiVersion: carto.run/v1alpha1, kind: Runnable, name: hello, namespace: team}}
    - {name: image-builder, stampedRef: {apiVersion: slipway.dev/v1alpha1, kind: Build, name: hello, namespace: team}}
    - {name: config-writer, stampedRef: {apiVersion: slipway.dev/v1alpha1, kind: GitCommit, name: hello, namespace: team}}
    - {name: image, stampedRef: {apiVersion: kpack.io/v1alpha2, kind: Image, name: hello, namespace: team}}
    - {name: later}
    - {name: deliverable, stampedRef: {apiVersion: carto.run/v1alpha1, kind: Deliverable, name: hello, namespace: team}}
    - {name: gone, stampedRef: {apiVersion: carto.run/v1alpha1, kind: Deliverable, name: gone, namespace: team}}
`

const deliverable = `
apiVersion: carto.run/v1alpha1
kind: Deliverable
metadata: {name: hello, namespace: team}
status:
  resources:
    - {name: source-provider, stampedRef: {apiVersion: slipway.dev/v1alpha1, kind: Source, name: hello-delivery, namespace: team}}
    - {name: deployer, stampedRef: {apiVersion: slipway.dev/v1alpha1, kind: Release, name: hello, namespace: team}}
`

func TestWorkload(t *testing.T) {
	c := cluster(t, workload, deliverable)
	targets, err := Workload(t.Context(), c, "team", "hello")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range targets {
		names = append(names, one.String())
	}
	if diff := cmp.Diff([]string{"source/hello", "gitcommit/hello", "source/hello-delivery", "release/hello"}, names); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if _, err := Workload(t.Context(), c, "team", "other"); err == nil || !strings.Contains(err.Error(), "there is no workload other in namespace team") {
		t.Errorf("a workload that is not there: %v", err)
	}
	bare := cluster(t, "apiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: {name: bare, namespace: team}\n")
	if _, err := Workload(t.Context(), bare, "team", "bare"); err == nil || !strings.Contains(err.Error(), "has no stage that looks outside") {
		t.Errorf("a workload without such stages: %v", err)
	}
}

func TestAsk(t *testing.T) {
	c := cluster(t, `{apiVersion: slipway.dev/v1alpha1, kind: Source, metadata: {name: a, namespace: team}}`, `{apiVersion: slipway.dev/v1alpha1, kind: Image, metadata: {name: b, namespace: team}}`)
	source, _ := Parse("team", "source/a")
	image, _ := Parse("team", "image/b")
	missing, _ := Parse("team", "source/none")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	results, err := Ask(ctx, c, []Target{source}, "one", false)
	if err != nil || len(results) != 1 || results[0].Observed {
		t.Errorf("without waiting: %+v, %v", results, err)
	}
	if _, err := Ask(ctx, c, []Target{missing}, "one", true); err == nil || !strings.Contains(err.Error(), `"none" not found`) {
		t.Errorf("what is not there: %v", err)
	}

	// What the controller would do.
	answer := func(one Target, status string) {
		at := c.Resource(one.resource).Namespace("team")
		for ctx.Err() == nil {
			found, err := at.Get(ctx, one.Name, metav1.GetOptions{})
			if err == nil && found.GetAnnotations()["slipway.dev/requested-at"] == "two" {
				made := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(status), &made.Object); err != nil {
					t.Error(err)
				}
				found.Object["status"] = made.Object
				if _, err := at.Update(ctx, found, metav1.UpdateOptions{}); err != nil {
					t.Error(err)
				}
				return
			}
		}
	}
	go answer(source, `{lastHandledRequest: two, artifact: {revision: "main@sha1:1"}, conditions: [{type: Ready, status: "True", reason: Stored, message: stored}]}`)
	go answer(image, `{lastHandledRequest: two, conditions: [{type: Ready, status: "False", reason: NotFound, message: no such tag}]}`)
	results, err = Ask(ctx, c, []Target{source, image}, "two", true)
	if err != nil {
		t.Fatal(err)
	}
	want := []Result{
		{Target: source, Observed: true, Ready: metav1.ConditionTrue, Reason: "Stored", Message: "stored", Revision: "main@sha1:1"},
		{Target: image, Observed: true, Ready: metav1.ConditionFalse, Reason: "NotFound", Message: "no such tag"},
	}
	if diff := cmp.Diff(want, results, cmpopts.IgnoreFields(Result{}, "Took"), cmp.AllowUnexported(Target{})); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}

	// What goes wrong with one is said, and does not hide what the others say.
	if results, err = Ask(ctx, c, []Target{missing, source}, "four", false); err == nil || !strings.Contains(err.Error(), `"none" not found`) {
		t.Errorf("one of them is not there: %v", err)
	}
	if diff := cmp.Diff([]Result{{Target: source}}, results, cmp.AllowUnexported(Target{})); diff != "" {
		t.Errorf("results of the others (-want +got):\n%s", diff)
	}

	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := Ask(short, c, []Target{image}, "three", true); err == nil || !strings.Contains(err.Error(), "image/b is still NotFound: no such tag") {
		t.Errorf("nobody answers: %v", err)
	}
}
