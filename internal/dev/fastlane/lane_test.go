//go:build linux

package fastlane

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/supervise/wire"
)

// stage is a lane with pods: the objects are made up, the supervisors behind them are real.
type stage struct {
	t      *testing.T
	dir    string
	client *fake.Clientset
	lane   *Lane
	behind map[string]*supervised
	ended  chan *CrashError
	builds int
}

func newStage(t *testing.T, rules ...appfile.Sync) *stage {
	s := &stage{t: t, dir: t.TempDir(), client: fake.NewClientset(), behind: map[string]*supervised{}, ended: make(chan *CrashError, 1)}
	lane, err := New(t.Context(), Options{
		Dir: s.dir, WorkloadFile: "workload.yaml", Namespace: "default", Workload: "web", Token: testToken, Client: s.client,
		Dial: func(ctx context.Context, _, pod string, port int) (io.ReadWriteCloser, error) {
			if port != wire.DefaultPort || s.behind[pod] == nil {
				return nil, errors.New("there is nobody")
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.behind[pod].at)))
		},
		Ended: func(crash *CrashError) { s.ended <- crash },
	}, &appfile.App{}, rules)
	if err != nil {
		t.Fatal(err)
	}
	s.lane = lane
	t.Cleanup(lane.Close)
	return s
}

// result is what a build of a version of the app makes.
func (s *stage) result(version string) *build.Result {
	s.t.Helper()
	program := filepath.Join(s.dir, ".program")
	text := script(s.t, version)
	if err := os.WriteFile(program, text, 0o755); err != nil {
		s.t.Fatal(err)
	}
	image := imageOf(s.t, v1.Config{Entrypoint: []string{"/app/web"}, Cmd: []string{"-x"}}, []string{"app/web", string(text), "app/data/text", "of the image"})
	return &build.Result{Image: image, Program: &build.Program{File: program, Path: "/app/web"}}
}

func (s *stage) make(version string) func(context.Context) (*build.Result, error) {
	return func(context.Context) (*build.Result, error) {
		s.builds++
		return s.result(version), nil
	}
}

func digestOf(t *testing.T, image v1.Image) string {
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// pod adds a running pod of an image. What is behind it must be there first.
func (s *stage) pod(name string, image v1.Image) {
	s.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", UID: types.UID(name), Labels: map[string]string{"carto.run/workload-name": "web"},
			Annotations: map[string]string{annotation: "workload"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "workload", Image: "localhost:5000/apps/web@" + digestOf(s.t, image), Env: []corev1.EnvVar{{Name: wire.TokenVariable, Value: testToken}},
		}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "workload", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
	}
	if _, err := s.client.CoreV1().Pods("default").Create(s.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// seen waits until the lane knows of so many pods.
func (s *stage) seen(count int) {
	s.t.Helper()
	for range 1000 {
		if len(s.lane.pods.now()) == count {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("the lane never knows of %d pods", count)
}

func (s *stage) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) try(version string, files ...string) Synced {
	s.t.Helper()
	synced, err := s.lane.Try(s.t.Context(), files, s.make(version))
	if err != nil {
		s.t.Fatal(err)
	}
	return synced
}

// begin makes a lane with one pod that runs version one, as after the first run of the chain.
func begin(t *testing.T, rules ...appfile.Sync) (*stage, *supervised) {
	s := newStage(t, rules...)
	first := newSupervised(t, "one", "--folder", "/app/data")
	first.answers("one")
	s.behind["web-1"] = first
	image := s.result("one")
	param, err := s.lane.Param(image)
	if err != nil {
		t.Fatal(err)
	}
	if command, _ := param["command"].([]any); len(command) != 2 || command[0] != "/app/web" || param["token"] != testToken {
		t.Errorf("param = %v", param)
	}
	s.pod("web-1", image.Image)
	s.seen(1)
	if differences, err := s.lane.Arrived(t.Context(), image.Image); err != nil || len(differences) > 0 {
		t.Fatal(differences, err)
	}
	return s, first
}

var (
	programRule = appfile.Sync{Binary: true}
	dataRule    = appfile.Sync{From: "data/*", To: "/app/data", Restart: no()}
)

func TestLaneSyncsProgramAndFiles(t *testing.T) {
	s, pod := begin(t, programRule, dataRule)
	if got := s.try("two", "main.go"); got.What == "" || len(got.Pods) != 1 || got.Pods[0] != "web-1" || got.Silent != "" {
		t.Errorf("synced = %+v", got)
	}
	pid := pod.answers("two  ")
	s.write("data/text", "hello")
	s.try("never built", "data/text")
	pod.answers("two hello " + pid)
	if s.builds != 1 {
		t.Errorf("%d builds, want 1: files need none", s.builds)
	}
	// The chain arrives at another content, in another pod: that is told.
	differences, err := s.lane.Arrived(t.Context(), s.result("three").Image)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(differences, "\n")
	if len(differences) != 2 || !strings.Contains(text, "/app/web") || !strings.Contains(text, "/app/data/text") {
		t.Errorf("differences = %q, want the program and the file", differences)
	}
}

func TestLaneArrivesAtTheSame(t *testing.T) {
	s, pod := begin(t, programRule, dataRule)
	s.write("data/text", "of the image")
	s.try("two", "main.go", "data/text")
	pod.answers("two of the image")
	image := s.result("two")
	if _, err := s.lane.Param(image); err != nil {
		t.Fatal(err)
	}
	if differences, err := s.lane.Arrived(t.Context(), image.Image); err != nil || len(differences) > 0 {
		t.Errorf("differences = %v %v, want none", differences, err)
	}
}

// A pod of an older image that begins to run after a newer save gets that save, too: the last one wins.
func TestLaneCatchesUpLatePods(t *testing.T) {
	s, _ := begin(t, programRule)
	older := s.result("two")
	if _, err := s.lane.Param(older); err != nil { // the chain is given two, and makes a pod of it
		t.Fatal(err)
	}
	s.try("three", "main.go")
	late := newSupervised(t, "two")
	late.answers("two")
	s.behind["web-2"] = late
	s.pod("web-2", older.Image)
	late.answers("three ")
	// One of the newest image is left alone.
	newest := s.result("three")
	if _, err := s.lane.Param(newest); err != nil {
		t.Fatal(err)
	}
	last := newSupervised(t, "three")
	pid := last.answers("three ")
	s.behind["web-3"] = last
	s.pod("web-3", newest.Image)
	s.seen(3)
	s.try("four", "main.go")
	if again := last.answers("four "); again == pid {
		t.Error("the process is the same")
	}
}

// Saves that come while others are on their way end in the last one, wherever those were interrupted.
func TestLaneLastSaveWins(t *testing.T) {
	s, pod := begin(t, programRule)
	for i := range 40 {
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(time.Duration(i)*time.Millisecond, cancel)
		_, _ = s.lane.Try(ctx, []string{"main.go"}, s.make("v"+strconv.Itoa(i)))
		stop.Stop()
		cancel()
	}
	s.try("last", "main.go")
	pod.answers("last ")
	if programs, err := filepath.Glob(filepath.Join(pod.dir, "program-*")); err != nil || len(programs) != 1 {
		t.Errorf("programs in the pod: %v %v, want only the last", programs, err)
	}
}

// What was synced by a session that was ended does not stay when the chain arrives at the pod's own image.
func TestLaneSettles(t *testing.T) {
	s, pod := begin(t, programRule, dataRule)
	stray := program(script(t, "stray"))
	stray.files = []file{text("/app/data/text", "stray"), text("/app/data/more", "stray")}
	pod.mustSend(pod.connect(nil), stray)
	pod.answers("stray stray ")
	s.lane.pods.close() // its connections, as those of the session that was ended
	s.lane.pods = watchPods(t.Context(), s.lane)
	s.seen(1)
	if differences, err := s.lane.Arrived(t.Context(), s.result("one").Image); err != nil || len(differences) > 0 {
		t.Fatal(differences, err)
	}
	pod.answers("one of the image ")
	if _, err := os.Stat(filepath.Join(pod.dir, "files/app/data/more")); err == nil {
		t.Error("a file that the image does not have is still there")
	}
}

func TestLaneFallsBack(t *testing.T) {
	s, pod := begin(t, programRule)
	var unserved *Unserved
	if _, err := s.lane.Try(t.Context(), []string{"workload.yaml", "main.go"}, s.make("two")); !errors.As(err, &unserved) || s.builds > 0 {
		t.Errorf("%v after %d builds, want that the workload's file is for the chain", err, s.builds)
	}
	other := func(context.Context) (*build.Result, error) {
		result := s.result("two")
		result.Image = imageOf(t, v1.Config{Entrypoint: []string{"/app/web"}, Env: []string{"A=b"}}, []string{"app/web", "x"})
		return result, nil
	}
	if _, err := s.lane.Try(t.Context(), []string{"main.go"}, other); !errors.As(err, &unserved) {
		t.Errorf("%v, want that an image with other settings is for the chain", err)
	}
	wrong := &build.SourceError{Command: "go build"}
	if _, err := s.lane.Try(t.Context(), []string{"main.go"}, func(context.Context) (*build.Result, error) { return nil, wrong }); !errors.Is(err, error(wrong)) {
		t.Errorf("%v, want the compiler's complaint", err)
	}
	pod.answers("one")
	_ = s.client.CoreV1().Pods("default").Delete(t.Context(), "web-1", metav1.DeleteOptions{})
	s.seen(0)
	if _, err := s.lane.Try(t.Context(), []string{"main.go"}, s.make("two")); !errors.As(err, &unserved) {
		t.Errorf("%v, want that there is no pod", err)
	}
}

func TestLaneTellsOfCrashes(t *testing.T) {
	s, pod := begin(t, programRule)
	var crash *CrashError
	if _, err := s.lane.Try(t.Context(), []string{"main.go"}, s.make("crash")); !errors.As(err, &crash) || crash.Pod != "web-1" || crash.Code != 3 {
		t.Fatalf("%v, want a crash of web-1 with exit code 3", err)
	}
	s.try("two", "main.go")
	pod.ask("/end")
	if crash := <-s.ended; crash.Pod != "web-1" || crash.Code != 4 {
		t.Errorf("told of %+v, want the end of web-1 with exit code 4", crash)
	}
}
