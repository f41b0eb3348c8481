package fulfil_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/registry"
)

// base pushes a base image that has a word in its environment and in a file.
func (w *world) base(word string) {
	w.Helper()
	image := w.wordy(word)
	tag, err := name.NewTag(w.host + "/bases/small:latest")
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
	}
}

// wordy is an image that has a word in its environment and in a file.
func (w *world) wordy(word string) v1.Image {
	w.Helper()
	files, err := layer.Compressed([]layer.File{{Name: "etc/word", Mode: 0o644, Content: []byte(word)}})
	if err != nil {
		w.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, files)
	if err != nil {
		w.Fatal(err)
	}
	if image, err = mutate.Config(image, v1.Config{Env: []string{"WORD=" + word}}); err != nil {
		w.Fatal(err)
	}
	return image
}

// load gives the engine an image that has a word.
func (w *world) load(engine *docker.Engine, tag name.Tag, word string) {
	w.Helper()
	image := w.wordy(word)
	config, err := image.ConfigFile()
	if err != nil {
		w.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	if image, err = mutate.ConfigFile(image, config); err != nil {
		w.Fatal(err)
	}
	reader, pipe := io.Pipe()
	go func() { pipe.CloseWithError(tarball.Write(tag, image, pipe)) }()
	if err := engine.Load(w.Context(), reader); err != nil {
		w.Fatal(err)
	}
}

// TestDockerfileBases has a Dockerfile of two stages, one on an image that the engine alone has and one on an image of the
// registry: when either is another one the image is built anew.
func TestDockerfileBases(t *testing.T) {
	engine, err := docker.Connect(t.Context())
	if err != nil {
		t.Skip("no Docker engine answers: ", err)
	}
	defer engine.Close()
	w := newWorld(t)
	defer w.manage()()
	tag, err := name.NewTag("slipway.test/word:" + strings.ToLower(filepath.Base(filepath.Dir(t.TempDir()))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.RemoveImage(t.Context(), docker.Image{ID: tag.String()}) }()
	w.load(engine, tag, "first")
	w.base("first")
	dir := t.TempDir()
	content := "FROM " + tag.String() + " AS one\nFROM " + w.host + "/bases/small\nCOPY --from=one /etc/word /word\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	defer w.watch("one", func(o *fulfil.Options) {
		o.Engine = docker.Connect
		o.NewBuilder = func() (build.Builder, error) {
			return &counting{choose.New(choose.Options{Engine: docker.Connect}), &w.builds}, nil
		}
	})()
	w.create(w.push(dir, "main@sha1:1111"))
	b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
	if len(b.Status.Bases) != 2 || (b.Status.Bases[0].Engine == "") == (b.Status.Bases[1].Engine == "") {
		t.Fatalf("bases %+v", b.Status.Bases)
	}
	images := []string{b.Status.LatestImage}
	for i, change := range []func(){func() { w.load(engine, tag, "second") }, func() { w.base("second") }} {
		change()
		for w.get().Status.Builds < int64(i+2) {
			time.Sleep(20 * time.Millisecond)
		}
		b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
		if b.Status.LatestReason != v1alpha1.CauseBaseImage || slices.Contains(images, b.Status.LatestImage) {
			t.Errorf("status %+v, after the images %q", b.Status, images)
		}
		images = append(images, b.Status.LatestImage)
	}
	if got := w.builds.Load(); got != 3 {
		t.Errorf("%d builds", got)
	}
}

func TestRebase(t *testing.T) {
	w := newWorld(t)
	defer w.manage()()
	stop := w.watch("one")
	w.base("first")
	dir := program(t, `"one"`)
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte("apiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {go: {base: "+w.host+"/bases/small}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.create(w.push(dir, "main@sha1:1111"))
	b := w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
	w.expect(b, w.local(dir), v1alpha1.CauseSource, 1)
	if b.Status.Base == nil || b.Status.Base.Name != w.host+"/bases/small" {
		t.Fatalf("status %+v", b.Status)
	}
	w.told(b.Status.LatestImage)

	// A newer base: the same digest as that of another build, and no build.
	w.base("second")
	for w.get().Status.Builds < 2 {
		time.Sleep(20 * time.Millisecond)
	}
	b = w.eventually(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "")
	w.expect(b, w.local(dir), v1alpha1.CauseBaseImage, 2)
	if got := w.builds.Load(); got != 1 || b.Status.Base.Newest != "" {
		t.Errorf("%d builds, base %+v", got, b.Status.Base)
	}
	w.told(b.Status.LatestImage)

	// What stands on no other base is left alone when that is pushed again.
	w.base("second")
	w.change(func(b *v1alpha1.Build) { b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"} })
	for w.get().Status.Builds < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(dir), v1alpha1.CauseManual, 3)

	// One that builds nothing can rebase, too.
	stop()
	defer w.watch("two", func(o *fulfil.Options) { o.NewBuilder = nil })()
	w.base("third")
	for w.get().Status.Builds < 4 {
		time.Sleep(20 * time.Millisecond)
	}
	w.expect(w.get(), w.local(dir), v1alpha1.CauseBaseImage, 4)
}

// told waits for what tells of an image: its source, its base, and of what it is made, under its own digest.
func (w *world) told(image string) {
	w.Helper()
	digest, err := name.NewDigest(image)
	if err != nil {
		w.Fatal(err)
	}
	var kinds []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		index, err := remote.Referrers(digest)
		if err != nil {
			w.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			w.Fatal(err)
		}
		kinds = nil
		for _, one := range manifest.Manifests {
			kinds = append(kinds, one.ArtifactType)
		}
		slices.Sort(kinds)
		if slices.Equal(kinds, []string{registry.SPDXType, baseimage.RecordType, registry.SourceType}) {
			return
		}
	}
	w.Errorf("attached to %s: %v", image, kinds)
}
