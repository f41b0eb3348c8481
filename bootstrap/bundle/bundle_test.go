package bundle

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slipway.dev/slipway/internal/hint"
)

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(512, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	if image == nil {
		return "none"
	}
	found, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return found.String()
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	plain, platform, other := randomImage(t), randomImage(t), randomImage(t)
	if err := path.AppendImage(plain, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "quay.io/a/b:v1"})); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: platform, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"io.containerd.image.name": "docker.io/kindest/node:v1"})); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]v1.Image{"quay.io/a/b:v1": plain, "kindest/node:v1": platform, "quay.io/a/b:v2": nil} {
		opened, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := opened.Find(ref, "amd64")
		if err != nil || digest(t, got) != digest(t, want) {
			t.Errorf("Find(%s) = %s, %v, want %s", ref, digest(t, got), err, digest(t, want))
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for an OCI layout")
	}
}

// fails is an image whose last layer cannot be read, as when the disk is full or the user has had enough.
type fails struct{ v1.Image }

func (f fails) Layers() ([]v1.Layer, error) {
	layers, err := f.Image.Layers()
	if err != nil {
		return nil, err
	}
	return append(layers[:len(layers)-1:len(layers)-1], unreadable{layers[len(layers)-1]}), nil
}

type unreadable struct{ v1.Layer }

func (unreadable) Compressed() (io.ReadCloser, error) { return nil, errors.New("it cannot be read") }

func names(t *testing.T, dir string) []string {
	t.Helper()
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	images, err := opened.List()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, image := range images {
		found = append(found, image.Name)
		whole, err := opened.Find(image.Name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(whole); err != nil {
			t.Errorf("%s is not whole: %v", image.Name, err)
		}
	}
	return found
}

func create(t *testing.T, dir string) *Writer {
	t.Helper()
	writer, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	return writer
}

func id(t *testing.T, image v1.Image) string {
	t.Helper()
	name, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return name.String()
}

func TestWriterGoesOnWhereItWasBrokenOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "bundle")
	first, second, third := randomImage(t), randomImage(t), randomImage(t)

	broken := create(t, dir)
	if err := broken.Add("a:1", id(t, first), first); err != nil {
		t.Fatal(err)
	}
	if err := broken.Add("b:1", id(t, second), fails{second}); err == nil {
		t.Fatal("an image that cannot be read was written")
	}
	if _, err := Open(dir); err == nil || len(hint.Of(err)) == 0 {
		t.Errorf("half a bundle was opened: %v", err)
	}

	again := create(t, dir)
	if kept, err := again.Keep("a:1", id(t, first)); err != nil || !kept {
		t.Errorf("what was written is not kept: %t, %v", kept, err)
	}
	if kept, err := again.Keep("b:1", id(t, second)); err != nil || kept {
		t.Errorf("what was half written is kept: %t, %v", kept, err)
	}
	if err := again.Add("b:1", id(t, second), second); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:1", "b:1"}, names(t, dir)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}

	// A newer version wants another image of one name, and the other no more; until it is written, the old one counts.
	newer := create(t, dir)
	if kept, err := newer.Keep("a:1", id(t, third)); err != nil || kept {
		t.Errorf("another image of that name is kept: %t, %v", kept, err)
	}
	if err := newer.Add("a:1", id(t, third), third); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:1", "b:1"}, names(t, dir)); diff != "" {
		t.Errorf("images before the end (-want +got):\n%s", diff)
	}
	if err := newer.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:1"}, names(t, dir)); diff != "" {
		t.Errorf("images after the end (-want +got):\n%s", diff)
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(blobs) != 4 {
		t.Errorf("%d blobs are left, %v, want a manifest, a configuration and two layers", len(blobs), err)
	}
}

func TestWriterKeepsLayersOnce(t *testing.T) {
	dir := t.TempDir()
	base := randomImage(t)
	layer, err := random.Layer(100, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	more, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	writer := create(t, dir)
	for name, image := range map[string]v1.Image{"base:1": base, "more:1": more} {
		if err := writer.Add(name, name, image); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(blobs) != 2*2+3 {
		t.Errorf("%d blobs, %v, want two manifests, two configurations and three layers", len(blobs), err)
	}
}

func TestWriterMendsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	image := randomImage(t)
	writer := create(t, dir)
	if err := writer.Add("a:1", id(t, image), image); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	manifest, _ := image.Digest()
	config, _ := image.ConfigName()
	layers, _ := image.Layers()
	layer, _ := layers[0].Digest()
	for _, damaged := range []v1.Hash{manifest, config, layer} {
		if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", damaged.Hex), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		again := create(t, dir)
		if kept, err := again.Keep("a:1", id(t, image)); err != nil || kept {
			t.Errorf("with %s damaged it is kept: %t, %v", damaged, kept, err)
		}
		if err := again.Add("a:1", id(t, image), image); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		names(t, dir)
	}
}
