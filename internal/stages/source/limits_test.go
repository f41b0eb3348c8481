package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ggcrtypes "github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/git/pack"
)

// noise is what cannot be compressed.
func noise(seed byte, size int) string {
	made := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(made)
	return string(made)
}

// TestSubmodulesShareTheLimit: neither repository is too large, both together are.
func TestSubmodulesShareTheLimit(t *testing.T) {
	w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.Git.RecurseSubmodules = true }))
	w.limits.fetch.Packed = 1 << 20
	library, dir := w.repo("library"), w.repo("app")
	w.commit(library, map[string]string{"noise": noise(1, 700<<10)})
	w.commit(dir, map[string]string{"noise": noise(2, 700<<10)})
	source, _ := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	w.run(dir, "submodule", "add", "-q", library, "lib")
	w.run(dir, "config", "-f", ".gitmodules", "submodule.lib.url", "../library")
	w.commit(dir, nil)
	source, _ = w.reconcile()
	w.want(source, metav1.ConditionFalse, v1alpha1.ReasonTooLarge, "with its submodules, is too large to be fetched: it has more than 1 MiB, compressed")
}

// TestLayersShareTheLimit: neither layer is too large, both together are.
func TestLayersShareTheLimit(t *testing.T) {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1}, Spec: v1alpha1.SourceSpec{Image: "localhost:5000/bundle"}}
	w := newWorld(t, source)
	image := empty.Image
	for _, name := range []string{"one", "two"} {
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		archive := tar.NewWriter(zip)
		if err := errors.Join(archive.WriteHeader(&tar.Header{Name: name, Size: 700 << 10, Mode: 0o644}), func() error { _, err := archive.Write(make([]byte, 700<<10)); return err }(), archive.Close(), zip.Close()); err != nil {
			t.Fatal(err)
		}
		var err error
		if image, err = mutate.AppendLayers(image, static.NewLayer(packed.Bytes(), ggcrtypes.DockerLayer)); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag(w.host + "/bundle")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	w.limits.files = 1 << 20
	found, result := w.reconcile()
	w.want(found, metav1.ConditionFalse, v1alpha1.ReasonTooLarge, "more than 1 MiB")
	if result.RequeueAfter <= DefaultInterval {
		t.Errorf("it is looked at again after %v", result.RequeueAfter)
	}
	w.limits.files = 2 << 20
	w.ask("again")
	found, _ = w.reconcile()
	w.want(found, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if files := w.files(found); len(files) != 2 {
		t.Errorf("%d files", len(files))
	}
}

// TestLargeLayers that unpack to hardly anything are refused before any of them is pulled.
func TestLargeLayers(t *testing.T) {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1}, Spec: v1alpha1.SourceSpec{Image: "localhost:5000/bundle"}}
	w := newWorld(t, source)
	image := empty.Image
	for _, name := range []string{"one", "two"} {
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		archive := tar.NewWriter(zip)
		if err := errors.Join(archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644}), archive.Close(), zip.Close()); err != nil {
			t.Fatal(err)
		}
		_, _ = packed.WriteString(noise(1, 700<<10)) // which no archive needs
		var err error
		if image, err = mutate.AppendLayers(image, static.NewLayer(packed.Bytes(), ggcrtypes.DockerLayer)); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag(w.host + "/bundle")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	w.limits.fetch.Packed = 1 << 20
	found, result := w.reconcile()
	w.want(found, metav1.ConditionFalse, v1alpha1.ReasonTooLarge, "The layers of localhost:5000/bundle are larger than 1 MiB, compressed, and no more is pulled.")
	if result.RequeueAfter <= DefaultInterval {
		t.Errorf("it is looked at again after %v", result.RequeueAfter)
	}
	w.limits.fetch.Packed = 2 << 20
	w.ask("again")
	found, _ = w.reconcile()
	w.want(found, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
}

// TestLargeFiles are read without being held in memory: whole ones, and one that the pack has as a difference to another.
func TestLargeFiles(t *testing.T) {
	w := newWorld(t, fromGit(nil))
	dir := w.repo("app")
	want := map[string]string{"one": noise(1, 3*pack.LargeObject), "other": noise(2, 2*pack.LargeObject), "small": "x"}
	want["two"] = want["one"] + "more"
	w.commit(dir, want)
	w.run(dir, "repack", "-adfq")
	source, _ := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	got := w.files(source)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s has %d bytes, and is not the one of %d that was committed", name, len(got[name]), len(want[name]))
		}
	}
}

// TestPackingWaits for the memory that others use.
func TestPackingWaits(t *testing.T) {
	w := newWorld(t, fromGit(nil))
	w.commit(w.repo("app"), map[string]string{"a": "bc"})
	if !w.packing.TryAcquire(maxFiles) {
		t.Fatal("the memory for packing is taken")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("bc"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if stored, err := w.store(ctx, fromGit(nil), fetched{dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without memory for it, %+v was packed: %v", stored, err)
	}
	w.packing.Release(maxFiles)
	source, _ := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if !w.packing.TryAcquire(maxFiles) {
		t.Error("what was taken for packing was not given back")
	}
}

// TestStalledRegistry: one that stops in the middle of a layer does not hold up the others, and nothing wrong is said of
// what it holds.
func TestStalledRegistry(t *testing.T) {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1}, Spec: v1alpha1.SourceSpec{Image: "localhost:5000/bundle"}}
	w := newWorld(t, source)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	content := []byte(noise(1, 1<<20))
	if err := errors.Join(archive.WriteHeader(&tar.Header{Name: "file", Size: int64(len(content)), Mode: 0o644}), func() error { _, err := archive.Write(content); return err }(), archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	w.pushLayer("bundle:latest", packed.Bytes())
	front := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if strings.Contains(request.URL.Path, "/blobs/") {
			response.Header().Set("Content-Length", strconv.Itoa(packed.Len()))
			_, _ = response.Write(packed.Bytes()[:512<<10])
			response.(http.Flusher).Flush()
			<-request.Context().Done()
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(to *httputil.ProxyRequest) { to.SetURL(&url.URL{Scheme: "http", Host: w.host}) }}).ServeHTTP(response, request)
	}))
	defer front.Close()
	source.Spec.Image = strings.TrimPrefix(front.URL, "http://") + "/bundle"
	found := &v1alpha1.Source{}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(source), found); err != nil {
		t.Fatal(err)
	}
	found.Spec.Image = source.Spec.Image
	if err := w.client.Update(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	w.timeout = 300 * time.Millisecond
	found, result := w.reconcile()
	w.want(found, metav1.ConditionFalse, v1alpha1.ReasonUnreachable, "it did not answer in time")
	if result.RequeueAfter != againAfter {
		t.Errorf("it is looked at again after %v", result.RequeueAfter)
	}
}
