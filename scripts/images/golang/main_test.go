package main

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestImage packs this machine's own toolchain, twice, into a registry.
func TestImage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the toolchain is not for linux")
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	where := strings.TrimPrefix(server.URL, "http://") + "/images/golang"
	first, err := run(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := run(t.Context(), where+":again"); err != nil || second != first {
		t.Errorf("the second is %s, %v, and the first %s", second, err, first)
	}
	digest, err := name.NewDigest(first)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	blob, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := layers[0].DiffID(); err != nil || plain != blob {
		t.Errorf("the layer is %s and its content %s, %v: it is not plain", blob, plain, err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	modes := map[string]int64{}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
		if strings.HasSuffix(header.Name, "_test.go") || strings.Contains(header.Name, "/testdata/") {
			t.Fatalf("%s is in the image", header.Name)
		}
	}
	for _, program := range []string{"bin/go", "pkg/tool/linux_" + runtime.GOARCH + "/compile", "pkg/tool/linux_" + runtime.GOARCH + "/vet"} {
		if modes["usr/local/go/"+program] != 0o755 {
			t.Errorf("%s has mode %o", program, modes["usr/local/go/"+program])
		}
	}
	if modes["usr/local/go/src/testing/testing.go"] != 0o644 {
		t.Error("the standard library is not in the image")
	}
}

func TestBadNames(t *testing.T) {
	if _, err := run(t.Context(), "UPPER CASE"); err == nil {
		t.Error("no error")
	}
}
