package dockerfile_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/dockerfile"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/hint"
)

// engine connects to the real engine. Only where there is none, and none was asked for, is the test passed over.
func engine(t *testing.T) {
	t.Helper()
	e, err := docker.Connect(t.Context())
	if err != nil {
		if os.Getenv("SLIPWAY_E2E") != "" {
			t.Fatal(err)
		}
		t.Skip("no Docker engine answers: ", err)
	}
	t.Cleanup(func() { _ = e.Close() })
}

// program compiles what the images' steps run, as there is no base with a shell everywhere.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "slipway-step-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "step")
	if err := os.WriteFile(source, []byte(stepSource), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(string(said))
	}
	return os.ReadFile(out)
})

const stepSource = `package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	switch os.Args[1] {
	case "write":
		if err := os.MkdirAll("/made", 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile("/made/file", []byte(os.Args[2]), 0o644); err != nil {
			panic(err)
		}
	case "secret":
		secret, err := os.ReadFile("/run/secrets/token")
		if err != nil {
			panic(err)
		}
		fmt.Println("the secret has", len(secret), "bytes")
	case "fail":
		fmt.Println("main.c:3: this is wrong")
		os.Exit(3)
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	}
}
`

func folder(t *testing.T, archive string) string {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, file := range append(txtar.Parse([]byte(archive)).Files, txtar.File{Name: "step", Data: binary}) {
		name := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, file.Data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newBuilder(t *testing.T, config appfile.Dockerfile) *dockerfile.Builder {
	t.Helper()
	engine(t)
	b := dockerfile.New(config, docker.Connect, &baseimage.Finder{})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func request(dir string) build.Request {
	return build.Request{Dir: dir, Name: "app", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
}

// content reads an image's files.
func content(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	stream := mutate.Extract(image)
	defer stream.Close()
	files := map[string]string{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s is of %s", header.Name, header.ModTime)
		}
		var text bytes.Buffer
		if _, err := io.Copy(&text, reader); err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "./")] = text.String()
	}
}

const simple = `
-- Dockerfile --
FROM scratch AS first
COPY step /step
ARG WORD
ARG SOURCE_DATE_EPOCH
RUN ["/step", "write", "made"]

FROM first AS last
WORKDIR /srv
COPY . /srv/
ENV WORD=$WORD
LABEL word=a
EXPOSE 8080
ENTRYPOINT ["/step"]
-- kept.txt --
kept
-- left.txt --
left
-- .dockerignore --
left.txt
-- .gitignore --
git.txt
-- git.txt --
not source
`

func TestBuild(t *testing.T) {
	b := newBuilder(t, appfile.Dockerfile{Args: map[string]string{"WORD": "b"}})
	dir := folder(t, simple)
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(built.Image, validate.Fast); err != nil {
		t.Error(err)
	}
	files := content(t, built.Image)
	if files["srv/kept.txt"] != "kept\n" || files["made/file"] != "made" {
		t.Errorf("the image lacks files: %q, %q", files["srv/kept.txt"], files["made/file"])
	}
	for _, absent := range []string{"srv/left.txt", "srv/git.txt"} {
		if _, there := files[absent]; there {
			t.Errorf("%s is in the image", absent)
		}
	}
	config, err := built.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.Entrypoint[0] != "/step" || c.WorkingDir != "/srv" || len(c.Labels) != 1 || len(c.ExposedPorts) != 1 {
		t.Errorf("the config is %+v", c)
	}
	if !config.Created.Equal(time.Unix(0, 0)) || config.Architecture != runtime.GOARCH {
		t.Errorf("made at %s for %s", config.Created, config.Architecture)
	}
	leftInEngine(t)

	again, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	same(t, built.Image, again.Image, true)
	if err := os.WriteFile(filepath.Join(dir, "kept.txt"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, changed.Image)["srv/kept.txt"]; got != "other" {
		t.Errorf("after a change the file is %q", got)
	}
	leftInEngine(t)
}

func same(t *testing.T, a, b v1.Image, want bool) {
	t.Helper()
	first, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if (first == second) != want {
		t.Errorf("the digests are %s and %s; want the same: %t", first, second, want)
	}
}

// leftInEngine fails when a build has left an image of its own.
func leftInEngine(t *testing.T) {
	t.Helper()
	e, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	removed, err := e.RemoveImages(t.Context(), dockerfile.Label, "app")
	if err != nil || len(removed) > 0 {
		t.Errorf("left in the engine: %v, %v", removed, err)
	}
}

// The seed makes the engine run the step twice, at two times; what it writes is the same.
func TestSameTreeSameDigest(t *testing.T) {
	digest := func(seed string) v1.Image {
		source := strings.Replace(simple, "ARG WORD", "ARG SEED", 1)
		b := newBuilder(t, appfile.Dockerfile{Target: "first", Args: map[string]string{"SEED": seed}})
		built, err := b.Build(t.Context(), request(folder(t, source)))
		if err != nil {
			t.Fatal(err)
		}
		return built.Image
	}
	seed := t.TempDir()
	same(t, digest(seed+"1"), digest(seed+"2"), true)
}

func TestTargetContextAndFile(t *testing.T) {
	dir := folder(t, "-- sub/Dockerfile.dev --\nFROM scratch AS one\nCOPY a /a\nFROM scratch\nCOPY b /b\n-- sub/a --\na\n-- sub/b --\nb\n-- a --\nwrong\n")
	b := newBuilder(t, appfile.Dockerfile{Context: "sub", File: "sub/Dockerfile.dev", Target: "one"})
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	if files := content(t, built.Image); files["a"] != "a\n" || len(files) != 1 {
		t.Errorf("the image holds %v", files)
	}
}

func TestSecret(t *testing.T) {
	dir := folder(t, "-- Dockerfile --\nFROM scratch\nCOPY step /step\nRUN --mount=type=secret,id=token [\"/step\", \"secret\"]\n")
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("tell nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t, appfile.Dockerfile{Secrets: []appfile.Secret{{ID: "token", File: secret}}})
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range content(t, built.Image) {
		if name != "step" && strings.Contains(text, "tell nobody") {
			t.Errorf("the secret is in %s", name)
		}
	}
	missing := newBuilder(t, appfile.Dockerfile{Secrets: []appfile.Secret{{ID: "token", File: "nowhere"}}})
	if _, err := missing.Build(t.Context(), request(dir)); err == nil || !strings.Contains(err.Error(), `"token"`) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, file, summary string }{
		{"a step", "FROM scratch\nCOPY step /step\nRUN [\"/step\", \"fail\"]\n", "main.c:3: this is wrong"},
		{"an instruction", "FROM scratch\nCOPPY a b\n", "COPPY"},
		{"a file that is not there", "FROM scratch\nCOPY nothing /\n", "nothing"},
		{"a stage that is not there", "FROM scratch\nCOPY --from=other a b\n", "other"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newBuilder(t, appfile.Dockerfile{}).Build(t.Context(), request(folder(t, "-- Dockerfile --\n"+test.file)))
			wrong := (*build.SourceError)(nil)
			if test.name == "a stage that is not there" {
				if err == nil || !strings.Contains(strings.Join(append(hint.Of(err), err.Error()), " "), test.summary) {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want a SourceError", err)
			}
			if !strings.Contains(wrong.Summary(), test.summary) {
				t.Errorf("the summary of %q is %q, want %q", wrong.Error(), wrong.Summary(), test.summary)
			}
		})
	}
	_, err := newBuilder(t, appfile.Dockerfile{}).Build(t.Context(), request(folder(t, "-- a --\n")))
	if !errors.Is(err, build.ErrNothingToBuild) {
		t.Errorf("without a Dockerfile: %v", err)
	}
}

// The step is told of while it runs, and the end comes at once.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := request(folder(t, "-- Dockerfile --\nFROM scratch\nCOPY step /step\nRUN [\"/step\", \"sleep\"]\n"))
	r.Update = func(what string) {
		if what == "sleeping" {
			cancel()
		}
	}
	if _, err := newBuilder(t, appfile.Dockerfile{}).Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
