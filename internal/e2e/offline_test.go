package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOffline brings an environment up on what is as good as a machine without a network: an engine of its own, which has
// no image at all, and slipway, both in a network namespace that has no route. All comes out of a bundle.
func TestOffline(t *testing.T) {
	e := newEnv(t, "offline")
	if os.Getuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	saved := e.run("images", "save", bundle, "--progress", "plain")
	t.Logf("saving took %v", saved.took)
	if again := e.run("images", "save", bundle, "--progress", "plain"); strings.Count(again.stderr, "it was there already") != 4 {
		t.Errorf("saving again did not find all there:\n%s", again.stderr)
	}

	e.isolate()
	if images := e.engine("images", "--quiet"); images != "" {
		t.Fatalf("the new engine has images: %s", images)
	}
	e.fails(1, []string{"neither in the engine nor in", "slipway images save"}, "up", "--name", e.name, "--images", e.emptyBundle())
	up := e.run("up", "--name", e.name, "--images", bundle)
	t.Logf("up without a network took %v\n%s", up.took, up.all())
	if !e.status().Ready {
		t.Errorf("the environment is not ready:\n%s", e.try("status", "--name", e.name).all())
	}
	if r := e.run("dev", "--name", e.name, "--once", filepath.Join(examples(t), "hello")); !strings.Contains(r.stdout, "http://hello.") {
		t.Errorf("dev says no URL:\n%s", r.all())
	}
	e.run("down", "--name", e.name)
}

// emptyBundle is a bundle without images.
func (e *env) emptyBundle() string {
	dir := e.t.TempDir()
	for name, content := range map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	return dir
}

// isolate makes a network namespace without a route, starts an engine in it, and has slipway run there.
func (e *env) isolate() {
	e.t.Helper()
	space := "slipway-" + e.name
	quietly := func(name string, arguments ...string) error { return exec.Command(name, arguments...).Run() }
	_ = quietly("ip", "netns", "del", space) // left by a run that was killed
	if out, err := exec.Command("ip", "netns", "add", space).CombinedOutput(); err != nil {
		e.t.Skipf("this machine makes no network namespaces: %v\n%s", err, out)
	}
	e.t.Cleanup(func() {
		e.wrap, e.dockerHost = nil, "" // what is cleaned up after this is on the machine's engine
		_ = quietly("ip", "netns", "del", space)
	})
	// Not `ip netns exec`: that mounts /sys anew, without the cgroups.
	e.wrap = []string{"nsenter", "--net=/run/netns/" + space}
	if out, err := exec.Command(e.wrap[0], append(e.wrap[1:], "ip", "link", "set", "lo", "up")...).CombinedOutput(); err != nil {
		e.t.Fatalf("%v\n%s", err, out)
	}
	if routes, err := exec.Command(e.wrap[0], append(e.wrap[1:], "ip", "route")...).Output(); err != nil || len(routes) != 0 {
		e.t.Fatalf("the network namespace has a route: %s, %v", routes, err)
	}
	e.startEngine()
}

// startEngine runs a dockerd of the test's own; e.wrap says where.
func (e *env) startEngine() {
	e.t.Helper()
	// The socket's path must be short, and the root not on a file system that is itself an overlay.
	dir, err := os.MkdirTemp("/var/tmp", "slipway-engine-")
	if err != nil {
		e.t.Fatal(err)
	}
	e.dockerHost = "unix://" + filepath.Join(dir, "sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		e.t.Fatal(err)
	}
	command := exec.Command(e.wrap[0], append(e.wrap[1:], "dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "run"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", e.dockerHost)...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		e.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	e.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			e.t.Error("the test's engine does not end")
			_ = command.Process.Kill()
		}
		if err := os.RemoveAll(dir); err != nil {
			e.t.Error(err)
		}
	})
	e.eventually("the test's engine answers", func() (bool, string) {
		select {
		case <-ended:
			said, _ := os.ReadFile(log.Name())
			e.t.Fatalf("the test's engine has ended:\n%s", said)
		default:
		}
		return exec.Command("docker", "--host", e.dockerHost, "info").Run() == nil, log.Name()
	})
}

// engine runs the docker program against the environment's engine.
func (e *env) engine(arguments ...string) string {
	e.t.Helper()
	return docker(e.t, append([]string{"--host", e.dockerHost}, arguments...)...)
}
