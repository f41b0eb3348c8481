package gobinary_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/gobinary"
	"slipway.dev/slipway/internal/hint"
)

const hello = `
-- go.mod --
module example.com/hello

go 1.24
-- main.go --
package main

func main() { println("ahoy") }
`

func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func base(t *testing.T) baseimage.Own {
	t.Helper()
	var zones bytes.Buffer
	archive := zip.NewWriter(&zones)
	entry, err := archive.Create("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write([]byte("TZif")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return baseimage.Own{CACertificates: []byte("PEM"), ZoneInfo: zones.Bytes()}
}

func newBuilder(t *testing.T) *gobinary.Builder {
	t.Helper()
	return newBuilderOf(t, appfile.Go{})
}

func newBuilderOf(t *testing.T, config appfile.Go) *gobinary.Builder {
	t.Helper()
	bases := &baseimage.Finder{Own: base(t)}
	b := gobinary.New(config, bases)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func request(dir string) build.Request {
	return build.Request{Dir: dir, Name: "hello", Platform: v1.Platform{OS: "linux", Architecture: "amd64"}}
}

func TestImage(t *testing.T) {
	built, err := newBuilder(t).Build(t.Context(), request(unpack(t, hello)))
	if err != nil {
		t.Fatal(err)
	}
	image := built.Image
	// Fast, since the full validation knows compressed layers alone.
	if err := validate.Image(image, validate.Fast); err != nil {
		t.Error(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Entrypoint: []string{"/app/hello"}, User: "65532", WorkingDir: "/",
		Env: []string{"PATH=/app:/usr/bin:/bin", "HOME=/home/nonroot", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if config.OS != "linux" || config.Architecture != "amd64" || !config.Created.Equal(time.Unix(0, 0)) {
		t.Errorf("made for %s/%s at %s", config.OS, config.Architecture, config.Created)
	}

	modes := map[string]int64{}
	content := mutate.Extract(image)
	defer content.Close()
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[strings.TrimSuffix(header.Name, "/")] = header.Mode
	}
	for name, mode := range map[string]int64{
		"app/hello": 0o755, "tmp": 0o1777, "etc/passwd": 0o644, "etc/ssl/certs": 0o755, "etc/nsswitch.conf": 0o644,
		"etc/ssl/certs/ca-certificates.crt": 0o644, "usr/share/zoneinfo/Europe/Berlin": 0o644, "home/nonroot": 0o700,
	} {
		if modes[name] != mode {
			t.Errorf("%s has mode %o, want %o", name, modes[name], mode)
		}
	}
}

func TestSameTreeSameDigest(t *testing.T) {
	digest := func(source string) string {
		built, err := newBuilder(t).Build(t.Context(), request(unpack(t, source)))
		if err != nil {
			t.Fatal(err)
		}
		hash, err := built.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash.String()
	}
	first := digest(hello)
	if second := digest(hello); first != second {
		t.Errorf("two copies of a tree give %s and %s", first, second)
	}
	if other := digest(strings.Replace(hello, "ahoy", "land", 1)); other == first {
		t.Error("another program has the same digest")
	}
}

func TestWhichMain(t *testing.T) {
	const (
		module = "-- go.mod --\nmodule example.com/m\n\ngo 1.24\n"
		server = "-- cmd/server/main.go --\npackage main\n\nfunc main() {}\n"
		client = "-- cmd/client/main.go --\npackage main\n\nfunc main() {}\n"
		lib    = "-- lib.go --\npackage m\n"
		other  = "-- tools/go.mod --\nmodule tools\n-- tools/main.go --\npackage main\n\nfunc main() {}\n"
		tagged = "-- gen.go --\n//go:build ignore\n\npackage main\n\nfunc main() {}\n"
		fixed  = "-- testdata/main.go --\npackage main\n\nfunc main() {}\n"
	)
	tests := []struct {
		name, source, main string
		wants              []string // in the error and its hints; none means that it builds
	}{
		{name: "one below", source: module + server + lib + other + tagged + fixed},
		{name: "several", source: module + server + client, wants: []string{"several", "./cmd/client", "./cmd/server", "--main ./cmd/client"}},
		{name: "chosen", source: module + server + client, main: "cmd/server"},
		{name: "chosen wrongly", source: module + server, main: "cmd/none", wants: []string{"./cmd/none", "not a Go main package"}},
		{name: "chosen outside", source: module + server, main: "../elsewhere", wants: []string{"not inside"}},
		{name: "none", source: module + lib, wants: []string{"nothing here builds"}},
		{name: "no Go at all", source: "-- index.html --\n", wants: []string{"nothing here builds"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(unpack(t, test.source))
			r.Main = test.main
			_, err := newBuilder(t).Build(t.Context(), r)
			if len(test.wants) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it was built")
			}
			all := strings.Join(append(hint.Of(err), err.Error()), "\n")
			for _, want := range test.wants {
				if !strings.Contains(all, want) {
					t.Errorf("%q does not say %q", all, want)
				}
			}
			if got := errors.Is(err, build.ErrNothingToBuild); got != (test.wants[0] == "nothing here builds") {
				t.Errorf("is it ErrNothingToBuild: %t", got)
			}
		})
	}
}

func TestCompilerError(t *testing.T) {
	b := newBuilder(t)
	_, err := b.Build(t.Context(), request(unpack(t, strings.Replace(hello, "println", "nonsense", 1))))
	wrong := (*build.SourceError)(nil)
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v, want a SourceError", err)
	}
	if !strings.Contains(wrong.Summary(), "main.go:3") || !strings.Contains(wrong.Summary(), "nonsense") {
		t.Errorf("summary %q does not say where and what", wrong.Summary())
	}
	if _, err := b.Build(t.Context(), request(unpack(t, strings.Replace(hello, "println(\"ahoy\") }", "", 1)))); !errors.As(err, &wrong) {
		t.Errorf("a file that does not parse: got %v, want a SourceError", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := request(unpack(t, hello))
	r.Update = func(string) { cancel() }
	if _, err := newBuilder(t).Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestGoFlags(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=lantern")
	r := request(unpack(t, "-- go.mod --\nmodule m\n\ngo 1.24\n-- main.go --\n//go:build lantern\n\npackage main\n\nfunc main() {}\n"))
	if _, err := newBuilder(t).Build(t.Context(), r); err != nil {
		t.Errorf("the tags of GOFLAGS are not used: %v", err)
	}
}
