package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const sourceWorkload = `apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: readme
  namespace: sources
  labels: {example.com/from: source}
spec:
  serviceAccountName: reader
  source:
    git: {url: https://example.com/never-asked.git, ref: {branch: main}}
`

// sourceChain has dev feed a chain that starts at source: no builder, no image of dev's own.
func sourceChain(e *env, registry string) {
	manifests, err := os.ReadFile(filepath.Join("testdata", "source-chain.yaml"))
	if err != nil {
		e.t.Fatal(err)
	}
	image := push(e.t, registry+"/apps/runner", buildApp(e.t, "runner"))
	e.apply(strings.ReplaceAll(string(manifests), "IMAGE", image))

	dir := e.t.TempDir()
	for file, content := range map[string]string{"workload.yaml": sourceWorkload, "text/a.txt": "one", ".gitignore": "*.log\n", "noise.log": "1", ".slipwayignore": "drafts/\n", "drafts/b": "1"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755); err != nil {
			e.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "first"}} {
		command := exec.CommandContext(e.t.Context(), "git", arguments...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			e.t.Fatalf("git %v: %v\n%s", arguments, err, out)
		}
	}

	e.run("dev", dir, "--name", e.name, "--once")
	first := e.runsSource()
	if !strings.HasPrefix(first, registry+"/sources/sources/readme@sha256:") {
		e.t.Errorf("the source is %s", first)
	}
	if got, want := artifactFiles(e.t, first), []string{".gitignore", ".slipwayignore", "text/", "text/a.txt", "workload.yaml"}; !slices.Equal(got, want) {
		e.t.Errorf("the artifact holds %v, want %v", got, want)
	}
	toldOf(e.t, first, "main@sha1:")

	replace(e.t, filepath.Join(dir, "noise.log"), "1", "2")
	e.run("dev", dir, "--name", e.name, "--once")
	if again := e.runsSource(); again != first {
		e.t.Errorf("the same source is %s and was %s", again, first)
	}

	dev := e.start("dev", dir, "--name", e.name, "--progress", "plain")
	dev.says("Watching")
	replace(e.t, filepath.Join(dir, "text/a.txt"), "one", "two")
	e.eventually("the save has come to a pod", func() (bool, string) {
		now := e.runsSource()
		return now != first && strings.Contains(now, "@sha256:"), now
	})
	dev.signal(syscall.SIGINT, true)
	dev.wait()
	e.kubectl("delete", "namespace", "sources", "--wait=false")
	e.kubectl("delete", "clustersupplychain", "source-chain")
}

// runsSource is the source that the workload names, if the pod that runs has it, too.
func (e *env) runsSource() string {
	named := e.kubectl("get", "workload", "readme", "-n", "sources", "-o", "jsonpath={.spec.source.image} {.spec.source.git}{.spec.image}")
	running := e.kubectl("get", "deployment", "readme", "-n", "sources", "-o", `jsonpath={.spec.template.spec.containers[0].env[0].value} {.status.readyReplicas}`)
	if source := strings.TrimSpace(named); running == source+" 1" {
		return source
	}
	return "named " + named + ", running " + running
}

func artifactFiles(t *testing.T, ref string) []string {
	t.Helper()
	digest, err := name.NewDigest(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != "application/vnd.cncf.flux.config.v1+json" || len(manifest.Layers) != 1 ||
		manifest.Layers[0].MediaType != "application/vnd.cncf.flux.content.v1.tar+gzip" {
		t.Errorf("the artifact is not of Flux's types: %+v", manifest)
	}
	layer, err := remote.Layer(digest.Context().Digest(manifest.Layers[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

// toldOf makes sure that something attached to an artifact names its revision, clean.
func toldOf(t *testing.T, ref, revision string) {
	t.Helper()
	digest, err := name.NewDigest(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range manifest.Manifests {
		image, err := remote.Image(digest.Context().Digest(one.Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := image.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), revision) {
			return
		}
	}
	t.Errorf("nothing attached to %s names the revision %s: %s", ref, revision, text)
}
