package fulfil_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/registry"
)

// base pushes a base image that has a word in its environment and in a file.
func (w *world) base(word string) {
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
	tag, err := name.NewTag(w.host + "/bases/small:latest")
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
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
