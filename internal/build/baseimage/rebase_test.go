package baseimage_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
)

// randomBase has some layers, and an environment that an app inherits.
func randomBase(t *testing.T, layers int64, word string) v1.Image {
	t.Helper()
	image, err := random.Image(64, layers)
	if err == nil {
		image, err = mutate.Config(image, v1.Config{Env: []string{"WORD=" + word, "PATH=/bin"}, User: word, Cmd: []string{word}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// A rebased image has the digest that building on the new base gives, whatever the two bases have.
func TestRebase(t *testing.T) {
	platform := v1.Platform{OS: "linux", Architecture: "amd64"}
	app, err := random.Layer(64, "application/vnd.oci.image.layer.v1.tar")
	if err != nil {
		t.Fatal(err)
	}
	before, after := randomBase(t, 2, "before"), randomBase(t, 3, "after")
	for name, top := range map[string]baseimage.Top{
		"program":    {Layers: []v1.Layer{app}, Entrypoint: []string{"/app/a"}, Env: map[string]string{"PATH": "/app"}, Ports: []int{80}, WorkingDir: "/"},
		"files":      {Layers: []v1.Layer{app}},
		"other user": {Layers: []v1.Layer{app, app}, User: "7"},
	} {
		t.Run(name, func(t *testing.T) {
			old, want := put(t, before, platform, top), put(t, after, platform, top)
			result := &build.Result{Image: old}
			if err := baseimage.Tell(result, "example.com/base", before, top); err != nil {
				t.Fatal(err)
			}
			var record baseimage.Record
			if err := json.Unmarshal(result.Evidence[0].Content, &record); err != nil || result.Evidence[0].MediaType != baseimage.RecordType {
				t.Fatal(result.Evidence, err)
			}
			rebased, err := baseimage.Rebase(old, after, platform, record)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(digestOf(t, want), digestOf(t, rebased.Image)); diff != "" {
				t.Errorf("digest (-built +rebased):\n%s", diff)
			}
			if rebased.Base == nil || rebased.Base.Digest != digestOf(t, after) || len(rebased.Evidence) != 1 {
				t.Errorf("told of %+v, %d documents", rebased.Base, len(rebased.Evidence))
			}
		})
	}
	if _, err := baseimage.Rebase(empty.Image, after, platform, baseimage.Record{Layers: 2}); err == nil {
		t.Error("an image that has fewer layers than its base is rebased")
	}
	for _, name := range []string{"", "scratch", "./layout", "/layout"} {
		result := &build.Result{}
		if err := baseimage.Tell(result, name, before, baseimage.Top{}); err != nil || result.Base != nil || result.Evidence != nil {
			t.Errorf("%q: told of %+v, %v", name, result, err)
		}
	}
}

func put(t *testing.T, base v1.Image, platform v1.Platform, top baseimage.Top) v1.Image {
	t.Helper()
	image, err := baseimage.Put(base, platform, top)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
