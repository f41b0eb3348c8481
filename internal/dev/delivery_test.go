package dev

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
	slipwayv1alpha1 "slipway.dev/slipway/api/slipway/v1alpha1"
)

const (
	configURL  = "http://git/slipway/config.git"
	configPath = "config/default/hello"
	treeDigest = "sha256:3333"
)

// delivered is a cluster in which a source has come all the way to a pod that a delivery has made.
func delivered() (seen, target) {
	s := arrived()
	goal := goal
	goal.source, goal.image = true, "localhost:5000/sources/hello@"+newDigest
	s.workload.Spec.Source, s.workload.Spec.Image = &v1alpha1.Source{Image: &goal.image}, nil
	ready := s.workload.Status.Resources[0].Conditions
	slipway, carto := slipwayv1alpha1.GroupVersion.String(), v1alpha1.GroupVersion.String()
	s.workload.Status.Resources = []v1alpha1.ResourceStatus{
		{Name: "source-tester", StampedRef: &v1alpha1.StampedRef{APIVersion: carto, Kind: "Runnable", Name: "hello"}, Conditions: ready},
		{Name: "image-provider", Inputs: []v1alpha1.Input{{Name: "source-tester"}}, StampedRef: &v1alpha1.StampedRef{APIVersion: slipway, Kind: "Build", Name: "hello"}, Conditions: ready},
		{Name: "config-writer", StampedRef: &v1alpha1.StampedRef{APIVersion: slipway, Kind: "GitCommit", Name: "hello"}, Conditions: ready},
		{Name: "deliverable", StampedRef: &v1alpha1.StampedRef{APIVersion: carto, Kind: "Deliverable", Name: "hello"}, Conditions: ready},
	}
	s.deployments[0].Labels = map[string]string{v1alpha1.LabelWorkloadName: "hello"}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Generation: 2} }
	s.deliveries = deliveries{
		deliverables: []*v1alpha1.Deliverable{{ObjectMeta: meta("hello"), Status: v1alpha1.DeliverableStatus{OwnerStatus: v1alpha1.OwnerStatus{
			Conditions: []metav1.Condition{is("Ready", "True", "Ready", "")},
			Resources: []v1alpha1.ResourceStatus{
				{Name: "source-provider", StampedRef: &v1alpha1.StampedRef{APIVersion: slipway, Kind: "Source", Name: "hello-delivery"}, Conditions: ready},
				{Name: "deployer", StampedRef: &v1alpha1.StampedRef{APIVersion: slipway, Kind: "Release", Name: "hello"}, Conditions: ready},
			},
		}}}},
		commits: []*committed{{digest: treeDigest, GitCommit: &slipwayv1alpha1.GitCommit{ObjectMeta: meta("hello"),
			Status: slipwayv1alpha1.GitCommitStatus{ObservedGeneration: 2, URL: configURL, Branch: "main", Path: configPath}}}},
		sources: []*slipwayv1alpha1.Source{{ObjectMeta: meta("hello-delivery"),
			Spec:   slipwayv1alpha1.SourceSpec{Git: &slipwayv1alpha1.GitSource{URL: configURL, Ref: slipwayv1alpha1.GitReference{Branch: "main"}}, SubPath: configPath},
			Status: slipwayv1alpha1.SourceStatus{Artifact: &slipwayv1alpha1.SourceArtifact{URL: "http://registry/" + treeDigest, Digest: treeDigest}}}},
		releases: []*slipwayv1alpha1.Release{{ObjectMeta: meta("hello"),
			Spec:   slipwayv1alpha1.ReleaseSpec{Source: slipwayv1alpha1.ReleaseSource{URL: "http://registry/" + treeDigest}},
			Status: slipwayv1alpha1.ReleaseStatus{ObservedGeneration: 2}}},
	}
	return s, goal
}

// crash makes the newest pod one that the run would fail for.
func crash(s *seen) { with(s, waitingFor("ImagePullBackOff")) }

func TestAssessDelivery(t *testing.T) {
	failed := func(resource *v1alpha1.ResourceStatus, message string) {
		resource.Conditions = []metav1.Condition{is("ResourceSubmitted", "True", "x", ""), is("Healthy", "False", "x", message), is("Ready", "False", "x", message)}
	}
	of := func(s *seen) []v1alpha1.ResourceStatus { return s.deliveries.deliverables[0].Status.Resources }
	tests := []struct {
		name    string
		change  func(s *seen)
		done    bool
		waiting string
		problem string // a part of its message; "" for none
		stage   string
		grace   time.Duration
	}{
		{name: "delivered", change: func(*seen) {}, done: true},
		{name: "a bundle", change: func(s *seen) {
			s.deliveries.commits[0].Status = slipwayv1alpha1.GitCommitStatus{ObservedGeneration: 2, URL: "localhost:5000/apps/hello-bundle@" + oldDigest}
			s.deliveries.sources[0].Spec = slipwayv1alpha1.SourceSpec{Image: "localhost:5000/apps/hello-bundle:uid"}
			s.deliveries.sources[0].Status.Artifact.Revision = "uid@" + oldDigest
		}, done: true},
		{name: "a bundle of before", change: func(s *seen) {
			s.deliveries.commits[0].Status = slipwayv1alpha1.GitCommitStatus{ObservedGeneration: 2, URL: "localhost:5000/apps/hello-bundle@" + newDigest}
			s.deliveries.sources[0].Spec = slipwayv1alpha1.SourceSpec{Image: "localhost:5000/apps/hello-bundle:uid"}
			s.deliveries.sources[0].Status.Artifact.Revision = "uid@" + oldDigest
		}, waiting: "has not seen what was written"},
		{name: "another folder is delivered, which cannot be compared", change: func(s *seen) {
			s.deliveries.sources[0].Spec.SubPath = "config"
			s.deliveries.commits[0].digest = "sha256:4"
		}, done: true},
		{name: "no deliverable yet", change: func(s *seen) { s.deliveries.deliverables = nil }, waiting: "not there yet"},
		{name: "the commit is not seen, and the pods of before crash", change: func(s *seen) { s.deliveries.commits[0].digest = "sha256:4"; crash(s) }, waiting: "has not seen what was written"},
		{name: "the commit is not made, and the release of before has failed", change: func(s *seen) {
			s.workload.Status.Resources[2].Conditions = []metav1.Condition{is("Ready", "Unknown", "x", "it commits")}
			failed(&of(s)[1], "of before")
		}, waiting: "it commits"},
		{name: "the release has what was before, and failed with it", change: func(s *seen) {
			s.deliveries.releases[0].Spec.Source.URL = "http://registry/sha256:4"
			failed(&of(s)[1], "of before")
			crash(s)
		}, waiting: "what was written before"},
		{name: "the release has not begun", change: func(s *seen) { s.deliveries.releases[0].Status.ObservedGeneration = 1; crash(s) }, waiting: "has not begun"},
		{name: "the release has failed", change: func(s *seen) { failed(&of(s)[1], "Deployment hello is broken") }, waiting: "Deployment hello is broken",
			problem: "Deployment hello is broken", stage: "delivery/deployer", grace: longGrace},
		{name: "the git server is away", change: func(s *seen) { s.deliveries.commits[0].digest = "sha256:4"; failed(&of(s)[0], "unreachable") }, waiting: "unreachable",
			problem: "unreachable", stage: "delivery/source-provider", grace: longGrace},
		{name: "the pods crash", change: crash, waiting: "0 of 1", problem: "ImagePullBackOff", stage: "pod"},
		{name: "the deliverable is not ready", change: func(s *seen) {
			s.deliveries.deliverables[0].Status.Conditions = []metav1.Condition{is("Ready", "Unknown", "x", "not yet")}
		}, waiting: "not yet"},
		{name: "red tests of before", change: func(s *seen) {
			failed(&s.workload.Status.Resources[3], "of before")
			failed(&s.workload.Status.Resources[0], "the tests are red")
			s.workload.Status.Conditions = append(s.workload.Status.Conditions, is("ResourcesHealthy", "False", "x", "of before"))
		}, waiting: "the tests are red", problem: "the tests are red", stage: "source-tester", grace: shortGrace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, goal := delivered()
			test.change(&s)
			got := assess(goal, s)
			if got.done != test.done || (got.done && got.waiting != "") || !strings.Contains(got.waiting, test.waiting) {
				t.Errorf("done %t, waiting %q; want %t, %q", got.done, got.waiting, test.done, test.waiting)
			}
			found := got.problem
			if found == nil {
				found = &problem{}
			}
			if found.stage != test.stage || found.grace != test.grace || !strings.Contains(found.message, test.problem) {
				t.Errorf("problem %+v; want %q of stage %q, grace %s", found, test.problem, test.stage, test.grace)
			}
		})
	}
}

// A stage whose input is on its way gives out what is of something earlier.
func TestStagesAfterOneThatIsNotDone(t *testing.T) {
	s, goal := delivered()
	s.workload.Status.Resources[0].Conditions = []metav1.Condition{is("Ready", "Unknown", "x", "it runs")}
	got := assess(goal, s)
	if got.stages[1].done || got.stages[1].detail != "it waits for source-tester" {
		t.Errorf("the stage after it is %+v", got.stages[1])
	}
}

// TestArtifactOf has a digest that a Source gives to the same files: another one would keep runs waiting for ever.
func TestArtifactOf(t *testing.T) {
	files := map[string]string{"delivery.yml": "kind: Deployment\n", "more/service.yml": "kind: Service\n"}
	got, err := artifactOf(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := packedTree(t, files)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := packed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := layers[0].Digest(); err != nil || got != want.String() {
		t.Errorf("digest %s, want %s, %v", got, want, err)
	}
	if _, err := artifactOf(t.Context(), map[string]string{"../out": ""}); err == nil {
		t.Error("a file outside of the folder was written")
	}
}
