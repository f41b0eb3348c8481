package bootstrap

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
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

func TestFromLayout(t *testing.T) {
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
		mutate.IndexAddendum{Add: platform, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: embeddedArchitecture}}})
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"io.containerd.image.name": "docker.io/kindest/node:v1"})); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]v1.Image{"quay.io/a/b:v1": plain, "kindest/node:v1": platform, "quay.io/a/b:v2": nil} {
		got, err := fromLayout(dir, ref)
		if err != nil || digest(t, got) != digest(t, want) {
			t.Errorf("fromLayout(%s) = %s, %v, want %s", ref, digest(t, got), err, digest(t, want))
		}
	}
	if _, err := fromLayout(t.TempDir(), "x"); err == nil {
		t.Error("an empty folder was taken for an OCI layout")
	}
}
