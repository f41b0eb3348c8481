package staticsite_test

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/build/staticsite"
	"slipway.dev/slipway/internal/hint"
)

// server compiles the real one.
func server(t *testing.T) staticsite.Server {
	t.Helper()
	out := filepath.Join(t.TempDir(), "server")
	cmd := exec.Command("go", "build", "-o", out, "slipway.dev/slipway/cmd/slipway-static")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := layer.Compressed([]layer.File{{Name: "slipway-static", Mode: 0o555, Content: program}})
	if err != nil {
		t.Fatal(err)
	}
	return staticsite.Server{Program: "/slipway-static", Architecture: runtime.GOARCH, Layer: func() ([]byte, error) {
		stream, err := packed.Compressed()
		if err != nil {
			return nil, err
		}
		return io.ReadAll(stream)
	}}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func request(dir string) build.Request {
	return build.Request{Dir: dir, Name: "site", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
}

func unpack(t *testing.T, image v1.Image) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	content := mutate.Extract(image)
	defer content.Close()
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return dir, names
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(name, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		names = append(names, header.Name)
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, os.FileMode(header.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImage(t *testing.T) {
	s := server(t)
	files := map[string]string{"public/index.html": "<p>home", "public/a/b.txt": "bee", "workload.yaml": "w", ".gitignore": "*.tmp", "public/x.tmp": "not source"}
	built, err := staticsite.New(appfile.Static{SPA: true}, s).Build(t.Context(), request(write(t, files)))
	if err != nil {
		t.Fatal(err)
	}
	dir, names := unpack(t, built.Image)
	if diff := cmp.Diff([]string{"www/a/b.txt", "www/index.html", "slipway-static"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	config, err := built.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/slipway-static", "--root=/www", "--spa"}, config.Config.Entrypoint); diff != "" || config.Config.User != "65532" {
		t.Errorf("user %s, entrypoint (-want +got):\n%s", config.Config.User, diff)
	}
	if runtime.GOOS == "linux" {
		answers(t, filepath.Join(dir, "slipway-static"), filepath.Join(dir, "www"))
	}

	again, err := staticsite.New(appfile.Static{SPA: true}, s).Build(t.Context(), request(write(t, files)))
	if err != nil {
		t.Fatal(err)
	}
	one, err := built.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if two, err := again.Image.Digest(); err != nil || one != two {
		t.Errorf("two copies of a tree give %s and %s (%v)", one, two, err)
	}
}

// answers runs the server of the image on its files.
func answers(t *testing.T, program, root string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	cmd := exec.CommandContext(t.Context(), program, "--root="+root, "--spa", "--addr="+address)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}()
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.HasPrefix(line, "serving") {
		t.Fatalf("it says %q: %v", line, err)
	}
	for path, want := range map[string]string{"/a/b.txt": "bee", "/orders/1": "<p>home"} {
		// It listens a moment after it says so.
		var response *http.Response
		for response == nil {
			if response, err = http.Get("http://" + address + path); err != nil && t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(text) != want {
			t.Errorf("%s answers %q, want %q (%v)", path, text, want, err)
		}
	}
}

func TestFolder(t *testing.T) {
	s := staticsite.Server{Architecture: runtime.GOARCH, Layer: func() ([]byte, error) { return nil, errors.New("no server") }}
	tests := []struct {
		name, folder string
		files        map[string]string
		want         string // in the error and its hints
	}{
		{"found", "", map[string]string{"dist/index.html": ""}, "no server"},
		{"named", "web", map[string]string{"web/a.html": ""}, "no server"},
		{"nothing", "", map[string]string{"a.txt": ""}, "no index.html"},
		{"named wrongly", "web", map[string]string{"index.html": ""}, "the folder web"},
		{"ignored", "dist", map[string]string{"dist/index.html": "", ".gitignore": "dist"}, "!FOLDER/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := staticsite.New(appfile.Static{Folder: test.folder}, s).Build(t.Context(), request(write(t, test.files)))
			if err == nil || !strings.Contains(strings.Join(append(hint.Of(err), err.Error()), "\n"), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := errors.Is(err, build.ErrNothingToBuild); got != (test.want != "no server") {
				t.Errorf("is it ErrNothingToBuild: %t", got)
			}
		})
	}
	r := request(write(t, map[string]string{"index.html": ""}))
	r.Platform.Architecture = "s390x"
	if _, err := staticsite.New(appfile.Static{}, s).Build(t.Context(), r); err == nil || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("for another architecture: %v", err)
	}
}
