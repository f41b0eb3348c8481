package registry_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway.dev/slipway/registry"
)

func TestAttach(t *testing.T) {
	there, tag := newLocal(t)
	pusher := registry.NewPusher(nil)
	pushed, err := pusher.Push(t.Context(), randomImage(t, 1), tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Source{Location: "/src/hello", Revision: "0123abc", Dirty: true, Builder: "go", Time: time.Unix(1, 5).UTC()}
	source, err := pusher.AttachSource(t.Context(), pushed.Reference, want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pusher.Attach(t.Context(), pushed.Reference, registry.SPDXType, []byte(`{"spdxVersion":"SPDX-2.3"}`), nil); err != nil {
		t.Fatal(err)
	}
	there.uploaded()
	if again, err := pusher.AttachSource(t.Context(), pushed.Reference, want); err != nil || again != source || there.uploaded() != 0 {
		t.Errorf("attaching the same again gives %s, %v, want %s and nothing sent", again, err, source)
	}

	index, err := remote.Referrers(pushed.Reference)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]map[string]string{}
	for _, one := range manifest.Manifests {
		types[one.ArtifactType] = one.Annotations
	}
	if diff := cmp.Diff(map[string]map[string]string{
		registry.SPDXType: nil,
		registry.SourceType: {
			"org.opencontainers.image.created": "1970-01-01T00:00:01Z", "org.opencontainers.image.revision": "0123abc", "org.opencontainers.image.source": "/src/hello",
		},
	}, types); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
	image, err := remote.Image(source)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	var got registry.Source
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want.Time = time.Unix(1, 0).UTC()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the source (-want +got):\n%s", diff)
	}
}

func TestAttachToNothing(t *testing.T) {
	_, tag := newLocal(t)
	nothing, err := name.NewDigest(tag.Context().Name() + "@sha256:0000000000000000000000000000000000000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.NewPusher(nil).Attach(t.Context(), nothing, registry.SPDXType, []byte("{}"), nil); err == nil {
		t.Error("something was attached to what is not there")
	}
}
