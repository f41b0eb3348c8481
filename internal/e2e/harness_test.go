package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the slipway under test.
func program(t *testing.T) string {
	t.Helper()
	if os.Getenv("SLIPWAY_E2E") == "" {
		t.Skip("SLIPWAY_E2E is not set: `make e2e` runs this")
	}
	path, err := filepath.Abs(os.Getenv("SLIPWAY_BIN"))
	if err != nil || os.Getenv("SLIPWAY_BIN") == "" {
		t.Fatalf("SLIPWAY_BIN names no program: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// env is an environment of slipway's under test, with a kubeconfig and a state folder of its own.
type env struct {
	t          *testing.T
	program    string
	name       string
	kubeconfig string
	home       string
	path       string   // prefix of PATH, for fault tests; "" is none
	wrap       []string // a command that runs slipway, such as nsenter; nil is none
	dockerHost string   // of an engine of the test's own; "" is the machine's
	temporary  string   // TMPDIR of the machine; "" is none
}

// newEnv returns an environment that is removed when the test ends.
func newEnv(t *testing.T, name string) *env {
	t.Helper()
	home := t.TempDir()
	e := &env{t: t, program: program(t), name: name, kubeconfig: filepath.Join(home, "kubeconfig"), home: home, temporary: os.Getenv("TMPDIR")}
	if err := os.Mkdir(filepath.Join(home, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	e.down() // left by a run that was killed
	t.Cleanup(func() {
		if t.Failed() {
			e.tell("diagnose", "--name", name, filepath.Join(os.TempDir(), "slipway-e2e-failure-"+name))
		}
		e.down()
	})
	return e
}

func (e *env) down() {
	command := e.command("down", "--name", e.name)
	if out, err := command.CombinedOutput(); err != nil {
		e.t.Errorf("down: %v\n%s", err, out)
	}
}

func (e *env) tell(arguments ...string) {
	out, err := e.command(arguments...).CombinedOutput()
	e.t.Logf("slipway %s: %v\n%s", strings.Join(arguments, " "), err, out)
}

func (e *env) command(arguments ...string) *exec.Cmd {
	line := append(append([]string{}, e.wrap...), append([]string{e.program}, arguments...)...)
	command := exec.Command(line[0], line[1:]...)
	command.Env = append(os.Environ(), "KUBECONFIG="+e.kubeconfig, "XDG_STATE_HOME="+filepath.Join(e.home, "state"), "NO_COLOR=1")
	if os.Getenv("TMPDIR") == e.temporary { // else a test has set its own
		command.Env = append(command.Env, "TMPDIR="+filepath.Join(e.home, "tmp")) // a program that is killed leaves things there
	}
	if e.dockerHost != "" {
		command.Env = append(command.Env, "DOCKER_HOST="+e.dockerHost)
	}
	if e.path != "" {
		command.Env = append(command.Env, "PATH="+e.path+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	command.Dir = e.home // where it might leave things behind
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// result is what a run of slipway gave.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

func (r result) all() string { return r.stdout + r.stderr }

// try runs slipway and returns what it gave, whatever that is.
func (e *env) try(arguments ...string) result {
	e.t.Helper()
	command := e.command(arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	start := time.Now()
	err := command.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		e.t.Fatalf("running slipway %s: %v", strings.Join(arguments, " "), err)
	}
	return r
}

// run runs slipway, which must succeed.
func (e *env) run(arguments ...string) result {
	e.t.Helper()
	r := e.try(arguments...)
	if r.code != 0 {
		e.t.Fatalf("slipway %s: exit code %d\n%s", strings.Join(arguments, " "), r.code, r.all())
	}
	return r
}

// fails runs slipway, which must end with the code and say each of the words.
func (e *env) fails(code int, words []string, arguments ...string) result {
	e.t.Helper()
	r := e.try(arguments...)
	if r.code != code {
		e.t.Errorf("slipway %s: exit code %d, want %d\n%s", strings.Join(arguments, " "), r.code, code, r.all())
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			e.t.Errorf("slipway %s does not say %q:\n%s", strings.Join(arguments, " "), word, r.stderr)
		}
	}
	return r
}

// background is a slipway that runs until it is stopped.
type background struct {
	e       *env
	command *exec.Cmd
	mutex   sync.Mutex
	output  bytes.Buffer
	ended   chan struct{}
	code    int
}

func (b *background) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.output.Write(p)
}

func (b *background) text() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.output.String()
}

func (e *env) start(arguments ...string) *background {
	e.t.Helper()
	b := &background{e: e, command: e.command(arguments...), ended: make(chan struct{})}
	b.command.Stdout, b.command.Stderr = b, b
	if err := b.command.Start(); err != nil {
		e.t.Fatal(err)
	}
	go func() {
		_ = b.command.Wait()
		b.code = b.command.ProcessState.ExitCode()
		close(b.ended)
	}()
	e.t.Cleanup(func() {
		_ = syscall.Kill(-b.command.Process.Pid, syscall.SIGKILL)
		<-b.ended
		if e.t.Failed() {
			e.t.Logf("slipway %s said:\n%s", strings.Join(arguments, " "), b.text())
		}
	})
	return b
}

// says waits until the output has the words.
func (b *background) says(words string) {
	b.e.t.Helper()
	b.e.eventually("it says "+words, func() (bool, string) {
		select {
		case <-b.ended:
			return strings.Contains(b.text(), words), "it ended:\n" + b.text()
		default:
			return strings.Contains(b.text(), words), b.text()
		}
	})
}

// signal sends a signal to the process alone, or as a terminal does to its group.
func (b *background) signal(signal syscall.Signal, group bool) {
	pid := b.command.Process.Pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, signal); err != nil {
		b.e.t.Errorf("sending %v: %v", signal, err)
	}
}

// wait returns the exit code.
func (b *background) wait() int {
	b.e.t.Helper()
	select {
	case <-b.ended:
		return b.code
	case <-time.After(3 * time.Minute):
		b.e.t.Fatalf("it does not end:\n%s", b.text())
		return -1
	}
}

// patience is how long eventually looks: long, since the machine may be doing other things, and since Kubernetes itself
// waits up to 100 s until it looks again at the endpoints of a Service that it could not reconcile after an outage of
// the API server (seen: 130 s). A test that passes does not take it.
const patience = 5 * time.Minute

// eventually looks until the condition holds; what it saw last is in the failure.
func (e *env) eventually(what string, look func() (bool, string)) time.Duration {
	e.t.Helper()
	start := time.Now()
	for {
		done, saw := look()
		if done {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			e.t.Fatalf("waiting until %s; last seen: %s", what, saw)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// status is what `slipway status -o json` says, as far as the tests read it.
type status struct {
	Ready    bool
	Profile  string
	Registry struct {
		Address string
		Ready   bool
	}
	Components []struct {
		Name  string
		Ready bool
	}
	Workloads []struct {
		Namespace, Name, URL, Message string
		Ready                         bool
	}
	URLs []struct{ Title, URL string }
}

func (e *env) status() status {
	e.t.Helper()
	r := e.try("status", "--name", e.name, "-o", "json")
	var s status
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		e.t.Fatalf("status: %v\n%s", err, r.all())
	}
	if s.Ready != (r.code == 0) {
		e.t.Errorf("status: ready %v and exit code %d", s.Ready, r.code)
	}
	return s
}

// get asks a URL of the host; names under localhost are this machine, whatever the resolver thinks.
func get(ctx context.Context, url string) (int, string, error) {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// answers waits until a URL answers 200 with the words.
func (e *env) answers(url, words string) {
	e.t.Helper()
	e.eventually(url+" answers "+words, func() (bool, string) {
		code, body, err := get(e.t.Context(), url)
		if err != nil {
			return false, err.Error()
		}
		return code == http.StatusOK && strings.Contains(body, words), body
	})
}

// docker runs the docker program, which must succeed, and returns its output.
func docker(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("docker", arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// kubectl runs the node's own kubectl as the administrator, which must succeed.
func (e *env) kubectl(arguments ...string) string {
	e.t.Helper()
	out, err := e.tryKubectl("", arguments...)
	if err != nil {
		e.t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

func (e *env) tryKubectl(stdin string, arguments ...string) (string, error) {
	command := exec.Command("docker", append([]string{"exec", "-i", e.name + "-control-plane", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"}, arguments...)...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// apply applies manifests as a user does with kubectl.
func (e *env) apply(manifests string) {
	e.t.Helper()
	if out, err := e.tryKubectl(manifests, "apply", "-f", "-"); err != nil {
		e.t.Fatalf("kubectl apply: %v\n%s\n%s", err, out, manifests)
	}
}

// sees waits until kubectl's output is what is wanted.
func (e *env) sees(what string, wanted func(string) bool, arguments ...string) time.Duration {
	e.t.Helper()
	return e.eventually(what, func() (bool, string) {
		out, err := e.tryKubectl("", arguments...)
		return err == nil && wanted(out), out
	})
}

// copyDir copies a folder of the repository into a temporary one, for tests that edit it.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// replace edits a file; the old text must be there.
func replace(t *testing.T, path, old, with string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, bytes.Replace(content, []byte(old), []byte(with), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}
