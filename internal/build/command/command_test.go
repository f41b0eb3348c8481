//go:build linux

package command_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/command"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/hint"
)

func newBuilder(t *testing.T, config appfile.Command) *command.Builder {
	t.Helper()
	b := command.New(config, &baseimage.Finder{})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func platform() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

func request(t *testing.T) build.Request {
	t.Helper()
	return build.Request{Dir: t.TempDir(), Name: "app", Platform: platform()}
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	sum, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return sum.String()
}

func TestFolder(t *testing.T) {
	config := appfile.Command{
		Run:   shell(`mkdir -p "$SLIPWAY_OUTPUT/bin" "$SLIPWAY_OUTPUT/empty" && printf "%s %s %s %s" "$SLIPWAY_PLATFORM" "$SLIPWAY_NAME" "$SOURCE_DATE_EPOCH" "$WORD" >"$SLIPWAY_OUTPUT/said" && ln -s /app/said "$SLIPWAY_OUTPUT/link" && : >"$SLIPWAY_OUTPUT/bin/run" && chmod 700 "$SLIPWAY_OUTPUT/bin/run"`),
		Env:   map[string]string{"WORD": "hello"},
		Image: &appfile.Image{Base: "scratch", Entrypoint: []string{"/app/bin/run"}, Env: map[string]string{"A": "b"}, User: "1000"},
	}
	built, err := newBuilder(t, config).Build(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	content := mutate.Extract(built.Image)
	defer content.Close()
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		got[header.Name] = header.FileInfo().Mode().String() + " " + header.Linkname + string(text)
	}
	want := map[string]string{
		"app": "drwxr-xr-x ", "app/bin": "drwxr-xr-x ", "app/bin/run": "-rwxr-xr-x ", "app/empty": "drwxr-xr-x ",
		"app/link": "Lrwxrwxrwx /app/said", "app/said": "-rw-r--r-- linux/" + runtime.GOARCH + " app 0 hello",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	made, err := built.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1.Config{Entrypoint: []string{"/app/bin/run"}, Env: []string{"A=b"}, User: "1000"}, made.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	again, err := newBuilder(t, config).Build(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, built.Image) != digest(t, again.Image) {
		t.Error("in another folder the digest is another")
	}
}

// sample is an image as another tool makes it.
func sample(t *testing.T) v1.Image {
	t.Helper()
	files, err := layer.Compressed([]layer.File{{Name: "a", Mode: 0o755, Content: []byte("a")}})
	if err != nil {
		t.Fatal(err)
	}
	image, err := baseimage.Put(empty.Image, platform(), baseimage.Top{Layers: []v1.Layer{files}, Entrypoint: []string{"/a"}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestImages(t *testing.T) {
	image := sample(t)
	work := t.TempDir()
	saved, folder := filepath.Join(work, "saved.tar"), filepath.Join(work, "layout")
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(saved, tag, image); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Write(folder, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: new(platform())}})); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, script string }{
		{"a layout", `cp -r ` + folder + ` "$SLIPWAY_OUTPUT"`},
		{"a layout in a tarball", `tar -C ` + folder + ` -cf "$SLIPWAY_OUTPUT" .`},
		{"a compressed one", `tar -C ` + folder + ` -czf "$SLIPWAY_OUTPUT" .`},
		{"docker save", `cp ` + saved + ` "$SLIPWAY_OUTPUT"`},
		{"compressed docker save", `gzip -c ` + saved + ` >"$SLIPWAY_OUTPUT"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			built, err := newBuilder(t, appfile.Command{Run: shell(test.script)}).Build(t.Context(), request(t))
			if err != nil {
				t.Fatal(err)
			}
			if digest(t, built.Image) != digest(t, image) {
				t.Error("the image is another")
			}
			layers, err := built.Image.Layers()
			if err != nil {
				t.Fatal(err)
			}
			stream, err := layers[0].Compressed()
			if err != nil {
				t.Fatalf("the layers cannot be read after the build: %v", err)
			}
			_ = stream.Close()
		})
	}
}

func TestOutputInTheFolder(t *testing.T) {
	r := request(t)
	b := newBuilder(t, appfile.Command{Run: shell(`mkdir -p out && echo a >out/a`), Output: "out", Image: &appfile.Image{Path: "/srv", Entrypoint: []string{"/srv/a"}}})
	if _, err := b.Build(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "out", "a")); err != nil {
		t.Errorf("the user's folder is gone: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name   string
		config appfile.Command
		want   string // in the error and its hints
		source bool
	}{
		{"it complains", appfile.Command{Run: shell("echo wrong >&2; exit 3")}, "wrong", true},
		{"it says nothing", appfile.Command{Run: shell("exit 3")}, "exit status 3", false},
		{"it is not there", appfile.Command{Run: []string{"slipway-no-such-program"}}, "install it", false},
		{"nothing is left", appfile.Command{Run: shell("true")}, "left nothing", false},
		{"no program", appfile.Command{Run: shell(`mkdir "$SLIPWAY_OUTPUT"`)}, "build.command.image.entrypoint", false},
		{"no image", appfile.Command{Run: shell(`echo hello >"$SLIPWAY_OUTPUT"`)}, "is not a tarball", false},
		{"another tarball", appfile.Command{Run: shell(`tar -cf "$SLIPWAY_OUTPUT" .`)}, "not of an image", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newBuilder(t, test.config).Build(t.Context(), request(t))
			if err == nil || !strings.Contains(strings.Join(append(hint.Of(err), err.Error()), "\n"), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) != test.source {
				t.Errorf("is it a SourceError: %t", !test.source)
			}
		})
	}
}

// The command's own child must end, too: it holds the lock on a file, which is free when it is gone.
func TestCancelEndsChildren(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := request(t)
	r.Update = func(line string) {
		if line == "locked" {
			cancel()
		}
	}
	_, err := newBuilder(t, appfile.Command{Run: shell(`(flock 9 && echo locked && sleep 1000) 9>lock & wait`)}).Build(ctx, r)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	file, err := os.Open(filepath.Join(r.Dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// Waits for as long as a child lives, which is longer than any test may take.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Error(err)
	}
}
