//go:build linux

package fastlane

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway.dev/slipway/internal/supervise/wire"
)

// The tests here run the real supervisor with real programs. The app is this test's own program, called by a script
// that says which version of it is meant.
const appVariable = "SLIPWAY_TEST_APP"

func TestMain(m *testing.M) {
	if version := os.Getenv(appVariable); version != "" {
		os.Exit(app(version))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-init-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = compileInit(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// app serves its version and the content of a file. The version says how else it behaves.
func app(version string) int {
	fmt.Println("app", version, "begins")
	switch {
	case strings.HasPrefix(version, "crash"):
		fmt.Fprintln(os.Stderr, "panic: no such luck")
		return 3
	case strings.HasPrefix(version, "stubborn"):
		signal.Ignore(syscall.SIGTERM)
	case strings.HasPrefix(version, "orphan"):
		child := exec.Command("/bin/sh", "-c", "sleep 0.2 & echo $! > "+os.Getenv("ORPHAN"))
		if err := child.Run(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		content, _ := os.ReadFile(os.Getenv("DATA"))
		fmt.Fprintf(w, "%s %s %d", version, content, os.Getpid())
	})
	http.HandleFunc("/end", func(http.ResponseWriter, *http.Request) { os.Exit(4) })
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		fmt.Println(err)
	}
	return 1
}

// initProgram is the real supervisor, compiled for these tests.
var initProgram string

func compileInit(dir string) error {
	initProgram = filepath.Join(dir, "slipway-init")
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", initProgram, "slipway.dev/slipway/cmd/slipway-init")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// supervised is a supervisor that runs.
type supervised struct {
	t        *testing.T
	dir      string
	image    string // the folder that stands for the image's
	command  *exec.Cmd
	output   lockedBuffer
	at, port int
	ended    chan struct{}
}

type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

const testToken = "a token"

// script is a program that is this test's app of some version.
func script(t *testing.T, version string) []byte {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "#!/bin/sh\n%s=%s exec %s\n", appVariable, version, self)
}

func freePort(t *testing.T) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// supervise starts a supervisor with the version of the app in its image.
func newSupervised(t *testing.T, version string, flags ...string) *supervised {
	t.Helper()
	s := &supervised{t: t, dir: t.TempDir(), image: t.TempDir(), at: freePort(t), port: freePort(t)}
	if err := os.WriteFile(filepath.Join(s.image, "app"), script(t, version), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(flags...)
	return s
}

func (s *supervised) run(flags ...string) {
	s.t.Helper()
	arguments := append([]string{"run", "--dir", s.dir, "--port", strconv.Itoa(s.port), "--at", strconv.Itoa(s.at), "--folder", "/app/data"}, flags...)
	s.command = exec.Command(initProgram, append(arguments, "--", filepath.Join(s.image, "app"))...)
	s.command.Env = append(os.Environ(), wire.TokenVariable+"="+testToken, "PORT="+strconv.Itoa(s.port),
		"DATA="+filepath.Join(s.dir, "files/app/data/text"), "ORPHAN="+filepath.Join(s.image, "orphan"))
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended, command := make(chan struct{}), s.command
	s.ended = ended
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	s.t.Cleanup(func() {
		below := childrenOf(command.Process.Pid)
		_ = command.Process.Kill()
		<-ended
		// In a pod they would end with it.
		for _, pid := range below {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

// childrenOf are the processes that a process has started or taken over, and that have not ended.
func childrenOf(pid int) []int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var children []int
	for _, list := range lists {
		content, _ := os.ReadFile(list)
		for field := range strings.FieldsSeq(string(content)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// code waits for the supervisor's end.
func (s *supervised) code() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the supervisor does not end:\n%s", s.output.String())
	}
	return s.command.ProcessState.ExitCode()
}

// connect tries until the supervisor is there.
func (s *supervised) connect(unasked func(wire.Event)) *client {
	s.t.Helper()
	for range 1000 {
		connection, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.at)))
		if err == nil {
			c, err := newClient(s.t.Context(), connection, testToken, unasked)
			if err != nil {
				s.t.Fatal(err)
			}
			s.t.Cleanup(c.close)
			return c
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("nobody listens on port %d:\n%s", s.at, s.output.String())
	return nil
}

// answers waits until the app's answer begins with the text, and returns the rest of it.
func (s *supervised) answers(text string) string {
	s.t.Helper()
	var last string
	for range 1000 {
		last = s.ask("/")
		if rest, found := strings.CutPrefix(last, text); found {
			return rest
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("the app answers %q, want %q\n%s", last, text, s.output.String())
	return ""
}

func (s *supervised) ask(path string) string {
	response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(s.port) + path)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func blobOf(content []byte) blob {
	sum := sha256.Sum256(content)
	return blob{Blob: wire.Blob{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])},
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

func program(content []byte) change {
	b := blobOf(content)
	return change{program: &b}
}

func text(path, content string) file {
	return file{path: path, mode: 0o644, blob: blobOf([]byte(content))}
}

func (s *supervised) mustSend(c *client, what change) outcome {
	s.t.Helper()
	result, err := c.send(s.t.Context(), what)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.output.String())
	}
	return result
}

// Every pod of a synced app waits until the supervisor has been copied into it.
func TestProgramIsSmall(t *testing.T) {
	const limit = 3_000_000
	if info, err := os.Stat(initProgram); err != nil || info.Size() > limit {
		t.Errorf("slipway-init: %v, %v: want at most %d bytes", info, err, limit)
	}
}

func TestNewProgramInPlace(t *testing.T) {
	s := newSupervised(t, "one")
	first := s.answers("one ")
	c := s.connect(nil)
	if c.greeting.Program != "" || !c.greeting.Running {
		t.Errorf("greeting = %+v, want that the image's program runs", c.greeting)
	}
	for _, version := range []string{"two", "three"} {
		what := program(script(t, version))
		if got := s.mustSend(c, what); !got.restarted || got.silent != "" {
			t.Errorf("outcome of %s = %+v, want a process that listens", version, got)
		}
		// It listens already: nothing is waited for.
		if got := s.ask("/"); !strings.HasPrefix(got, version+" ") || strings.HasSuffix(got, first) {
			t.Errorf("after the change the app answers %q, want %s from another process", got, version)
		}
	}
	entries, err := filepath.Glob(filepath.Join(s.dir, "program-*"))
	if err != nil || len(entries) != 1 {
		t.Errorf("programs in the pod: %v %v, want only the last", entries, err)
	}
	if again := s.connect(nil); again.greeting.Program != blobOf(script(t, "three")).SHA256 {
		t.Errorf("a second client is greeted with %+v", again.greeting)
	}
	if strings.Contains(s.output.String(), testToken) {
		t.Error("the token is in the log")
	}
}

func TestFiles(t *testing.T) {
	s := newSupervised(t, "one")
	pid := s.answers("one  ")
	c := s.connect(nil)
	if got := s.mustSend(c, change{files: []file{text("/app/data/text", "new"), text("/app/data/a/b", "deep")}}); got.restarted {
		t.Error("the process started anew though nobody asked for it")
	}
	s.answers("one new " + pid)
	s.mustSend(c, change{files: []file{text("/app/data/text", "newer")}, removed: []string{"/app/data/a/b"}, restart: true})
	if again := s.answers("one newer "); again == pid {
		t.Error("it is the same process, though another was asked for")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "files/app/data/a/b")); err == nil {
		t.Error("a removed file is still there")
	}
	want := map[string]string{"/app/data/text": blobOf([]byte("newer")).SHA256, "/app/data/a/b": ""}
	if got := s.connect(nil).greeting.Files; len(got) != 2 || got["/app/data/text"] != want["/app/data/text"] || got["/app/data/a/b"] != "" {
		t.Errorf("the supervisor says that it has %v, want %v", got, want)
	}
}

func TestRefusals(t *testing.T) {
	s := newSupervised(t, "one")
	pid := s.answers("one  ")
	c := s.connect(nil)
	wrong := text("/app/data/text", "wrong")
	wrong.SHA256 = strings.Repeat("0", 64)
	tests := []struct {
		name string
		what change
		want string
	}{
		{"outside", change{files: []file{text("/etc/passwd", "x")}}, "in none of the folders"},
		{"outside, removed", change{removed: []string{"/app/other"}}, "in none of the folders"},
		{"hash", change{files: []file{text("/app/data/other", "fine"), wrong, text("/app/data/third", "fine")}}, "hash is another"},
	}
	for _, test := range tests {
		if _, err := c.send(t.Context(), test.what); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a refusal that says %q", test.name, err, test.want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "files/app/data/other")); err == nil {
		t.Error("a part of a refused change is there")
	}
	s.answers("one  " + pid)
	// A link out of the folder is not followed.
	if err := os.MkdirAll(filepath.Join(s.dir, "files/app/data"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(s.dir, "files/app/data/link")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.send(t.Context(), change{files: []file{text("/app/data/link/x", "x")}}); !errors.Is(err, errRefused) {
		t.Errorf("writing through a link: %v", err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("a link led out: %v", entries)
	}
	s.mustSend(c, change{files: []file{text("/app/data/text", "fine")}}) // the connection is as good as before
	s.answers("one fine " + pid)
}

func TestWrongToken(t *testing.T) {
	s := newSupervised(t, "one")
	s.connect(nil)
	for _, hello := range []string{`{"version":1,"token":"another"}`, `{"version":1}`, `{"version":7,"token":"` + testToken + `"}`, `nonsense`, strings.Repeat("x", 100_000)} {
		connection, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.at)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(connection, hello+"\n"+`{"id":1,"removed":["/app/data/x"]}`+"\n")
		answer, _ := io.ReadAll(connection)
		if len(answer) > 0 && !strings.Contains(string(answer), wire.Refused) {
			t.Errorf("%.40s is answered with %s", hello, answer)
		}
		connection.Close()
	}
}

func TestCrashIsTold(t *testing.T) {
	s := newSupervised(t, "one")
	s.answers("one")
	c := s.connect(nil)
	_, err := c.send(t.Context(), program(script(t, "crash")))
	crash := (*CrashError)(nil)
	if !errors.As(err, &crash) || crash.Code != 3 {
		t.Fatalf("%v, want a crash with exit code 3", err)
	}
	if got := strings.Join(crash.Lines, "\n"); !strings.Contains(got, "panic: no such luck") || !strings.Contains(got, "app crash begins") {
		t.Errorf("the last lines are %q", got)
	}
	if greeting := s.connect(nil).greeting; greeting.Running || greeting.Code != 3 {
		t.Errorf("greeting = %+v, want that nothing runs", greeting)
	}
	s.mustSend(c, program(script(t, "two"))) // the next save heals it, at once
	s.answers("two ")
	if _, err := c.send(t.Context(), program([]byte("no program"))); !errors.Is(err, errRefused) {
		t.Errorf("a file that is no program: %v, want that it is refused", err)
	}
	s.mustSend(c, program(script(t, "three")))
	s.answers("three ")
}

func TestLaterEndIsTold(t *testing.T) {
	s := newSupervised(t, "one", "--hold", "50ms")
	s.answers("one")
	told := make(chan wire.Event, 1)
	c := s.connect(func(event wire.Event) { told <- event })
	s.mustSend(c, program(script(t, "two")))
	s.ask("/end")
	if event := <-told; event.Type != wire.Ended || event.Code != 4 {
		t.Errorf("told of %+v, want the end with exit code 4", event)
	}
	// Without a client the container ends as the program did, and begins again with what was synced.
	c.close()
	if code := s.code(); code != 4 {
		t.Errorf("exit code %d, want the program's", code)
	}
	s.run()
	s.answers("two ")
}

func TestOwnEnd(t *testing.T) {
	s := newSupervised(t, "crash")
	if code := s.code(); code != 3 || !strings.Contains(s.output.String(), "no such luck") {
		t.Errorf("exit code %d, want the program's\n%s", code, s.output.String())
	}
	s = newSupervised(t, "one")
	s.answers("one")
	_ = s.command.Process.Signal(syscall.SIGTERM)
	if code := s.code(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want that of a program that SIGTERM ended", code)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	s := newSupervised(t, "stubborn", "--grace", "50ms")
	s.answers("stubborn")
	s.mustSend(s.connect(nil), program(script(t, "two")))
	s.answers("two ")
}

func TestOrphansAreReaped(t *testing.T) {
	s := newSupervised(t, "orphan")
	s.answers("orphan")
	content, err := os.ReadFile(filepath.Join(s.image, "orphan"))
	if err != nil {
		t.Fatal(err)
	}
	stat := "/proc/" + strings.TrimSpace(string(content))
	for range 1000 {
		if _, err := os.Stat(stat); err != nil {
			s.answers("orphan") // the process itself goes on
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("a process that lost its parent stays, as a zombie")
}

func TestBrokenUpload(t *testing.T) {
	s := newSupervised(t, "one")
	pid := s.answers("one  ")
	connection, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.at)))
	for range 1000 {
		if err == nil {
			break
		}
		connection, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.at)))
	}
	if err != nil {
		t.Fatal(err)
	}
	what := blobOf(script(t, "two"))
	_ = wire.Write(connection, wire.Hello{Version: wire.Version, Token: testToken})
	_ = wire.Write(connection, wire.Change{ID: 1, Program: &what.Blob})
	_, _ = io.WriteString(connection, "#!/bin")
	if event, err := wire.ReadEvent(bufio.NewReader(connection)); err != nil || event.Type != wire.Greeting {
		t.Fatal(event, err)
	}
	connection.Close()
	s.answers("one  " + pid)
	s.mustSend(s.connect(nil), program(script(t, "three")))
	s.answers("three ")
}

func TestSendEndsWithItsContext(t *testing.T) {
	s := newSupervised(t, "stubborn")
	s.answers("stubborn")
	c := s.connect(nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("something newer")) })
	if _, err := c.send(ctx, program(script(t, "two"))); err == nil || err.Error() != "something newer" {
		t.Errorf("%v, want the reason for which it was cancelled", err)
	}
}
