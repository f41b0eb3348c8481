package dev

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/tree"
)

func sourceTree(t *testing.T, files map[string]string) *tree.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := tree.NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tree.Read(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestSourceArtifact has a digest that must never change: another one is work for every chain.
func TestSourceArtifact(t *testing.T) {
	const want = "sha256:87e852cbfb264132e080c513d9f315548a0453a60a6ca7b79f7216ba280dd6ff"
	files := map[string]string{"main.go": "package main\n", "sub/a.txt": "a", ".gitignore": "*.log\n", "x.log": "noise"}
	packed, err := packedTree(t, files)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := packed.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if digest.String() != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	manifest, err := packed.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != artifact.FluxConfig || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != artifact.FluxContent {
		t.Errorf("manifest: %+v", manifest)
	}
	if diff := cmp.Diff(map[string]string{"org.opencontainers.image.created": "1970-01-01T00:00:00Z"}, manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	layers, err := packed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var names []string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if diff := cmp.Diff([]string{".gitignore", "main.go", "sub/", "sub/a.txt"}, names); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	files["main.go"] += "\n"
	other, err := packedTree(t, files)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := other.Digest(); err != nil || changed == digest {
		t.Errorf("another tree has the digest %s, %v", changed, err)
	}
}

func packedTree(t *testing.T, files map[string]string) (v1.Image, error) {
	t.Helper()
	read := sourceTree(t, files)
	return artifact.Pack(func(w io.Writer) error { return read.WriteTar(t.Context(), w) })
}

func TestPoint(t *testing.T) {
	tests := []struct {
		name       string
		source     bool
		spec, want map[string]any
	}{
		{"an image", false, map[string]any{"env": "x"}, map[string]any{"env": "x", "image": "r@d"}},
		{"an image beside source", false, map[string]any{"source": map[string]any{"image": "s"}}, map[string]any{"image": "r@d", "source": map[string]any{"image": "s"}}},
		{"source", true, map[string]any{}, map[string]any{"source": map[string]any{"image": "r@d"}}},
		{"source instead of all else, but for the folder in it", true,
			map[string]any{"image": "i", "source": map[string]any{"git": map[string]any{"url": "u"}, "subPath": "app"}},
			map[string]any{"source": map[string]any{"image": "r@d", "subPath": "app"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target{image: "r@d", source: test.source}.point(test.spec)
			if diff := cmp.Diff(test.want, test.spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAssessSource is TestAssess for a chain that starts at source.
func TestAssessSource(t *testing.T) {
	const earlier = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	const place = "localhost:5000/sources/hello"
	goal := target{namespace: goal.namespace, name: goal.name, image: place + "@" + newDigest, source: true, generation: goal.generation,
		before: map[string]bool{earlier: true, newDigest: true}}
	output := func(s *seen, name, preview string) {
		s.workload.Status.Resources[0].Outputs = []v1alpha1.Output{{Name: name, Preview: preview}}
	}
	tests := []struct {
		name    string
		change  func(s *seen)
		done    bool
		waiting string
		problem string
	}{
		{name: "arrived, with an image of the chain's own", change: func(s *seen) {
			s.deployments[0].Spec.Template = template("localhost:5000/built/hello@" + oldDigest)
			s.replicaSets[1].Spec.Template = s.deployments[0].Spec.Template
		}, done: true},
		{name: "arrived, without a deployment", change: func(s *seen) {
			s.workload.Status.Resources = s.workload.Status.Resources[:1]
			s.deployments, s.replicaSets, s.pods = nil, nil, nil
		}, done: true},
		{name: "a revision of this run", change: func(s *seen) { output(s, "revision", "sha256:feed, of "+newDigest) }, done: true},
		{name: "a revision of the run before", change: func(s *seen) { output(s, "revision", earlier+"\n") }, waiting: "the source before"},
		{name: "a reference that nobody knows", change: func(s *seen) { output(s, "url", place+"@"+oldDigest) }, waiting: "the source before"},
		{name: "what the chain made of it", change: func(s *seen) { output(s, "image", "localhost:5000/built/hello@"+oldDigest) }, done: true},
		{name: "a stage that is not ready", change: func(s *seen) {
			s.workload.Status.Resources[0].Conditions = []metav1.Condition{is("Ready", "Unknown", "Building", "it builds")}
		}, waiting: "it builds"},
		{name: "pointed elsewhere", change: func(s *seen) { s.workload.Spec.Source = nil }, problem: "somebody else has pointed the workload at no source"},
		{name: "the deployment was not observed", change: func(s *seen) { s.deployments[0].Generation = 3 }, waiting: "Kubernetes to roll"},
		{name: "a crash", change: func(s *seen) { with(s, waitingFor("ImagePullBackOff")) }, waiting: "0 of 1", problem: "ImagePullBackOff"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := arrived()
			s.workload.Spec.Source = &v1alpha1.Source{Image: &goal.image}
			s.workload.Spec.Image = nil
			s.workload.Status.Resources[0].Outputs = nil
			test.change(&s)
			got := assess(goal, s)
			if got.done != test.done {
				t.Errorf("done: %v, want %v: %+v", got.done, test.done, got)
			}
			if !test.done && test.waiting != "" {
				says(t, errors.New(got.waiting), test.waiting)
			}
			switch {
			case test.problem == "" && got.problem != nil:
				t.Errorf("problem: %+v", got.problem)
			case test.problem != "" && got.problem == nil:
				t.Errorf("no problem, want %s", test.problem)
			case test.problem != "":
				says(t, errors.New(got.problem.message), test.problem)
			}
		})
	}
}
