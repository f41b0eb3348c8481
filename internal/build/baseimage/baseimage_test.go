package baseimage_test

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/hint"
)

var here = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// image is one as other tools make it: in Docker's format, with a user and a variable.
func image(t *testing.T, platform v1.Platform, text string) v1.Image {
	t.Helper()
	files, err := layer.Compressed([]layer.File{{Name: "text", Mode: 0o644, Content: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := mutate.Append(empty.Image, mutate.Addendum{Layer: files, MediaType: types.DockerLayer})
	if err != nil {
		t.Fatal(err)
	}
	config, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Config = v1.Config{User: "7", Env: []string{"A=1", "B=2"}, Cmd: []string{"/old"}, WorkingDir: "/srv"}
	if made, err = mutate.ConfigFile(made, config); err != nil {
		t.Fatal(err)
	}
	return made
}

func query(base string) baseimage.Query {
	return baseimage.Query{Base: base, Platform: here, Say: func(string) {}}
}

func digest(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	sum, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func newRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func push(t *testing.T, reference string, made v1.Image) {
	t.Helper()
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, made); err != nil {
		t.Fatal(err)
	}
}

func TestInTheEnvironmentsRegistry(t *testing.T) {
	registry := newRegistry(t)
	own, upstream := image(t, here, "own"), image(t, here, "upstream")
	push(t, registry+"/bases/own:1", own)
	push(t, registry+"/mirror/docker.io/library/debian:12", upstream)
	f := &baseimage.Finder{}
	for base, want := range map[string]v1.Image{registry + "/bases/own:1": own, "debian:12": upstream, "docker.io/library/debian:12": upstream} {
		q := query(base)
		q.Registry = registry
		found, err := f.Find(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, found) != digest(t, want) {
			t.Errorf("%s is another image", base)
		}
	}
	// A tag that moves is followed.
	moved := image(t, here, "moved")
	push(t, registry+"/bases/own:1", moved)
	q := query(registry + "/bases/own:1")
	q.Registry = registry
	found, err := f.Find(t.Context(), q)
	if err != nil || digest(t, found) != digest(t, moved) {
		t.Errorf("after a push it is the old one: %v", err)
	}
}

func TestInALayout(t *testing.T) {
	other := here
	other.Architecture = "s390x"
	wanted, foreign := image(t, here, "wanted"), image(t, other, "foreign")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: foreign, Descriptor: v1.Descriptor{Platform: &other}}, mutate.IndexAddendum{Add: wanted, Descriptor: v1.Descriptor{Platform: &here}})
	dir := t.TempDir()
	for folder, content := range map[string]v1.ImageIndex{
		"flat": index, "nested": mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index}),
		"foreign": mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: foreign}),
		"two":     mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: wanted}, mutate.IndexAddendum{Add: image(t, here, "second")}),
	} {
		if _, err := layout.Write(filepath.Join(dir, folder), content); err != nil {
			t.Fatal(err)
		}
	}
	for base, want := range map[string]string{
		"./flat": "", "./nested": "", filepath.Join(dir, "flat"): "",
		"./foreign": "no image for", "./two": "several images", "./none": "reading the OCI layout",
	} {
		q := query(base)
		q.Dir = dir
		found, err := (&baseimage.Finder{}).Find(t.Context(), q)
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", base, err, want)
		case want == "" && err != nil:
			t.Error(err)
		case want == "" && digest(t, found) != digest(t, wanted):
			t.Errorf("%s is another image", base)
		}
	}
}

func TestInTheEngine(t *testing.T) {
	engine, err := docker.Connect(t.Context())
	if err != nil {
		t.Skip("no Docker engine answers: ", err)
	}
	defer engine.Close()
	tag, err := name.NewTag("slipway.test/base:" + strings.ToLower(filepath.Base(filepath.Dir(t.TempDir()))))
	if err != nil {
		t.Fatal(err)
	}
	made := image(t, here, "in the engine")
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(tarball.Write(tag, made, writer)) }()
	if err := engine.Load(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.RemoveImage(t.Context(), docker.Image{ID: tag.String()}); err != nil {
			t.Error(err)
		}
	}()
	f := &baseimage.Finder{Engine: docker.Connect}
	defer f.Close()
	found, err := f.Find(t.Context(), query(tag.String()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := made.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := found.ConfigName(); err != nil || got != want {
		t.Errorf("it is %s, want %s (%v)", got, want, err)
	}
	if again, err := f.Find(t.Context(), query(tag.String())); err != nil || again != found {
		t.Errorf("it is read again: %v", err)
	}
}

func TestNowhere(t *testing.T) {
	q := query("127.0.0.1:1/none:1") // nothing listens there
	q.Registry = newRegistry(t)
	_, err := (&baseimage.Finder{}).Find(t.Context(), q)
	if err == nil || !strings.Contains(strings.Join(hint.Of(err), ""), "docker load") {
		t.Errorf("got %v with the hints %q", err, hint.Of(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&baseimage.Finder{}).Find(ctx, q); err != context.Canceled { //nolint:errorlint // the very error
		t.Errorf("after the end: %v", err)
	}
	registry := newRegistry(t)
	other := here
	other.Architecture = "s390x"
	push(t, registry+"/foreign:1", image(t, other, "x"))
	q = query(registry + "/foreign:1")
	q.Registry = registry
	if _, err := (&baseimage.Finder{}).Find(t.Context(), q); err == nil || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("an image for another machine: %v", err)
	}
}

func TestPut(t *testing.T) {
	top, err := layer.Plain([]layer.File{{Name: "app", Mode: 0o755}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := baseimage.Put(image(t, here, "base"), here, baseimage.Top{
		Layers: []v1.Layer{top}, Entrypoint: []string{"/app"}, Env: map[string]string{"B": "3", "C": "4"}, Ports: []int{80},
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		User: "7", WorkingDir: "/srv", Entrypoint: []string{"/app"}, Env: []string{"A=1", "B=3", "C=4"}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	manifest, err := made.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Layers[0].MediaType != types.OCILayer || manifest.Layers[1].MediaType != types.OCIUncompressedLayer {
		t.Errorf("the manifest mixes formats: %+v", manifest)
	}
}
