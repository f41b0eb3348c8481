package diagnose_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/bootstrap/diagnose"
	"slipway.dev/slipway/internal/docker"
)

// fakeEngine has one environment's containers; exec fails for disk.txt's command.
type fakeEngine struct{ down bool }

func (fakeEngine) Host() string { return "unix:///fake" }

func (e fakeEngine) Info(context.Context) (docker.Info, error) {
	if e.down {
		return docker.Info{}, errors.New("no answer")
	}
	return docker.Info{Version: "28"}, nil
}

func (fakeEngine) ContainersWith(context.Context, string, string) ([]string, error) {
	return []string{"demo-registry"}, nil
}

func (fakeEngine) ContainersOn(context.Context, string) ([]string, error) {
	return []string{"demo-control-plane", "demo-registry"}, nil
}

func (fakeEngine) Container(_ context.Context, name string) (*docker.Container, error) {
	if name == "demo-registry" {
		return &docker.Container{Name: name, State: "exited", ExitCode: 2}, nil
	}
	return &docker.Container{Name: name, State: "running", Running: true}, nil
}

func (fakeEngine) Logs(_ context.Context, name string, _ int) (string, error) {
	return "log of " + name + "\n", nil
}

func (fakeEngine) Exec(_ context.Context, _ string, command ...string) (string, error) {
	if command[0] == "df" {
		return "", errors.New("no df here")
	}
	return "output of " + command[0] + "\n", nil
}

// apiServer answers with the sections of a txtar file: the path is a section's name, YAML its content. Anything else
// is not found, as for a kind that the cluster does not know.
func apiServer(t *testing.T, file string) *rest.Config {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string][]byte{}
	for _, section := range archive.Files {
		content := section.Data
		if !strings.HasSuffix(section.Name, "/log") && section.Name != "/readyz" {
			if content, err = yaml.YAMLToJSON(section.Data); err != nil {
				t.Fatalf("%s: %v", section.Name, err)
			}
		}
		answers[section.Name] = content
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, found := answers[r.URL.Path]
		if !found {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
			return
		}
		if r.URL.Query().Get("previous") == "true" {
			content = append([]byte("previous run of\n"), content...)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func read(t *testing.T, dir, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCollect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	report, err := diagnose.Collect(t.Context(), diagnose.Options{
		Name: "demo", Engine: fakeEngine{}, Kube: apiServer(t, "testdata/cluster.txtar"), Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantProblems := []string{
		"container demo-registry is exited, exit code 2 (engine/demo-registry.log)",
		"Workload apps/hello: Ready is False: Stamping: no such template (objects/workloads.carto.run.yaml)",
		"Pod apps/hello-1, container app: waiting: CrashLoopBackOff: back-off 10s (namespaces/apps/pods.yaml)",
		"Deployment apps/hello is not ready: 0 of 1 available (namespaces/apps/deployments.yaml)",
	}
	if diff := cmp.Diff(wantProblems, report.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	wantFiles := []string{
		"README.txt", "cluster/local-registry-hosting.yaml", "cluster/nodes.yaml", "cluster/readyz.txt",
		"engine/containers.yaml", "engine/demo-control-plane.log", "engine/demo-registry.log", "engine/info.yaml",
		"namespaces/apps/deployments.yaml", "namespaces/apps/events.txt", "namespaces/apps/logs/hello-1.app.previous.log",
		"namespaces/apps/pods.yaml", "namespaces/apps/secrets.yaml",
		"node/containerd.log", "node/kubelet.log", "node/registries.txt", "node/static-pods.log", "objects/workloads.carto.run.yaml",
	}
	if diff := cmp.Diff(wantFiles, report.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, file := range report.Files {
		if text := read(t, dir, file); strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") {
			t.Errorf("%s holds a secret:\n%s", file, text)
		}
	}
	text := read(t, dir, "README.txt")
	for _, want := range append(wantProblems, "BackOff: restarting", "disk.txt: no df here", "namespaces/apps/pods.yaml") {
		if !strings.Contains(text, want) {
			t.Errorf("README.txt lacks %q:\n%s", want, text)
		}
	}
	if got := read(t, dir, "namespaces/apps/logs/hello-1.app.previous.log"); got != "previous run of\npanic: no database\n" {
		t.Errorf("log = %q", got)
	}
}

func TestCollectGoesOn(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	report, err := diagnose.Collect(t.Context(), diagnose.Options{
		Name: "demo", Engine: fakeEngine{down: true}, Kube: &rest.Config{Host: closed.URL}, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) != 2 || len(report.Missing) != 2 {
		t.Errorf("problems %q, missing %q; want two of each", report.Problems, report.Missing)
	}
	if diff := cmp.Diff([]string{"README.txt"}, report.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestCollectCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := diagnose.Collect(t.Context(), diagnose.Options{Name: "demo", Dir: filepath.Join(file, "out")}); err == nil {
		t.Error("Collect into a file succeeded")
	}
}
