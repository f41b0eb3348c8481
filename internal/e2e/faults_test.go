package e2e

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func readIfThere(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(content)
}

// TestInterruptedUp ends `up` at several of its steps, by Ctrl-C and by kill -9, and sees that `down` removes what is
// there, or `up` goes on.
func TestInterruptedUp(t *testing.T) {
	e := newEnv(t, "e2e-int")
	for _, test := range []struct {
		name   string
		at     string // the step at whose start it ends
		signal syscall.Signal
		group  bool
		code   int
	}{
		{"Ctrl-C while the registry is made", `"id":"registry"`, syscall.SIGINT, true, 130},
		{"Ctrl-C while the cluster is made", "kubeadm-or-control-plane", syscall.SIGINT, true, 130},
		{"terminated while the cluster is made", "kubeadm-or-control-plane", syscall.SIGTERM, false, 130},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := e.in(t)
			up := e.start("up", "--name", e.name, "--profile", "minimal", "--progress", "json")
			if test.at == "kubeadm-or-control-plane" {
				up.says("starting control-plane")
			} else {
				up.says(test.at)
			}
			up.signal(test.signal, test.group)
			if code := up.wait(); code != test.code {
				t.Errorf("exit code %d, want %d\n%s", code, test.code, up.text())
			}
			e.run("down", "--name", e.name)
			assertNothingLeft(t, e)
		})
	}
	t.Run("killed while the cluster is made, then up", func(t *testing.T) {
		e := e.in(t)
		up := e.start("up", "--name", e.name, "--profile", "minimal", "--progress", "json")
		up.says("starting control-plane")
		up.signal(syscall.SIGKILL, true)
		up.wait()
		e.run("up", "--name", e.name, "--profile", "minimal")
		if s := e.status(); !s.Ready {
			t.Errorf("status: %+v", s)
		}
	})
	t.Run("interrupted while the controller is awaited, then up", func(t *testing.T) {
		e := e.in(t)
		e.kubectl("delete", "deployment", "-n", "slipway-system", "slipway-controller")
		up := e.start("up", "--name", e.name, "--profile", "minimal", "--progress", "json")
		up.says(`"id":"controller"`)
		up.signal(syscall.SIGINT, true)
		if code := up.wait(); code != 130 {
			t.Errorf("exit code %d, want 130\n%s", code, up.text())
		}
		e.run("up", "--name", e.name, "--profile", "minimal")
		if s := e.status(); !s.Ready {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestForeignClusterIsNotTouched(t *testing.T) {
	e := newEnv(t, "e2e-foreign")
	image := anyImage(t)
	docker(t, "create", "--name", e.name+"-control-plane", "--label", "io.x-k8s.kind.cluster="+e.name, image, "true")
	t.Cleanup(func() { docker(t, "rm", "-f", e.name+"-control-plane") })

	for _, verb := range []string{"up", "down", "status"} {
		e.fails(1, []string{"that slipway did not make", "--name"}, verb, "--name", e.name)
	}
	if out := docker(t, "ps", "-a", "--filter", "name="+e.name, "--format", "{{.Names}}"); out != e.name+"-control-plane" {
		t.Errorf("the engine has %q, want the foreign container alone", out)
	}
	if out := docker(t, "network", "ls", "--filter", "name="+e.name, "-q"); out != "" {
		t.Error("up made a network for an environment that it refused")
	}
	docker(t, "rm", "-f", e.name+"-control-plane")
}

// anyImage is an image that the engine has; it is never run.
func anyImage(t *testing.T) string {
	t.Helper()
	first, _, _ := strings.Cut(docker(t, "images", "-q"), "\n")
	if first == "" {
		t.Skip("the engine has no image")
	}
	return first
}

func TestBadInput(t *testing.T) {
	e := newEnv(t, "e2e-bad")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	empty := t.TempDir()

	e.fails(1, []string{"taken on 127.0.0.1", "--registry-port"}, "up", "--name", e.name, "--registry-port", taken)
	e.fails(1, []string{"no-such-image", "--images"}, "up", "--name", e.name, "--node-image", "localhost:1/no-such-image:v1")
	e.fails(2, []string{"scanning", "not built yet"}, "up", "--name", e.name, "--profile", "scanning")
	e.fails(2, []string{"no profile", "basic"}, "up", "--name", e.name, "--profile", "nonsense")
	e.fails(1, []string{"OCI layout"}, "up", "--name", e.name, "--node-image", "localhost:1/no-such-image:v1", "--images", empty)
	e.fails(2, []string{"environment name"}, "up", "--name", "Not A Name")
	e.fails(2, []string{"--no-such-flag"}, "up", "--no-such-flag")
	e.fails(2, []string{"nonsense"}, "nonsense")
	e.fails(1, []string{"slipway up"}, "dev", empty, "--name", e.name, "--once")
	e.run("down", "--name", e.name)
	assertNothingLeft(t, e)
}

func TestNoEngine(t *testing.T) {
	e := &env{t: t, program: program(t), name: "e2e-none", home: t.TempDir()}
	e.kubeconfig = filepath.Join(e.home, "kubeconfig")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	for _, verb := range []string{"up", "down", "status"} {
		e.fails(1, []string{"Docker engine", "Hint:", "docker info"}, verb, "--name", e.name)
	}
}

func TestNoDockerProgram(t *testing.T) {
	e := &env{t: t, program: program(t), name: "e2e-none", home: t.TempDir()}
	e.kubeconfig = filepath.Join(e.home, "kubeconfig")
	t.Setenv("PATH", t.TempDir())
	e.fails(1, []string{"docker program", "PATH"}, "up", "--name", e.name)
}

// TestPortMoves has the registry's default port taken: it moves, and says so.
func TestPortMoves(t *testing.T) {
	e := newEnv(t, "e2e-port")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::1]:5000")
	if err != nil {
		listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:5000")
	}
	if err == nil {
		defer listener.Close()
	} // otherwise something else has it, which does as well
	r := e.run("up", "--name", e.name, "--profile", "minimal")
	address := e.status().Registry.Address
	if address == "localhost:5000" || !strings.Contains(r.all(), address) {
		t.Errorf("the registry is on %q; up said:\n%s", address, r.all())
	}
	hosting := e.kubectl("get", "configmap", "-n", "kube-public", "local-registry-hosting", "-o", "yaml")
	if !strings.Contains(hosting, address) {
		t.Errorf("the KEP-1755 ConfigMap does not say %s:\n%s", address, hosting)
	}
	e.run("down", "--name", e.name)
	assertNothingLeft(t, e)
}
