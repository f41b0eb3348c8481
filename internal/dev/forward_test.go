package dev

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"time"

	"k8s.io/streaming/pkg/httpstream"

	"slipway.dev/slipway/internal/ui"
)

// pipeStream is a stream over a pipe.
type pipeStream struct {
	net.Conn
	header http.Header
}

func (s *pipeStream) Reset() error         { return s.Close() }
func (s *pipeStream) Headers() http.Header { return s.header }
func (s *pipeStream) Identifier() uint32   { return 0 }

// fakePod is a tunnel to a pod that greets with its name and port on each connection.
type fakePod struct {
	to     place
	closed chan bool
	once   sync.Once
	broken atomic.Bool
}

func (p *fakePod) CreateStream(header http.Header) (httpstream.Stream, error) {
	if p.broken.Load() {
		return nil, errors.New("the tunnel is broken")
	}
	ours, theirs := net.Pipe()
	if header.Get(corev1.StreamType) == corev1.StreamTypeError {
		_ = theirs.Close()
		return &pipeStream{ours, header.Clone()}, nil
	}
	go func() {
		defer theirs.Close()
		line, err := bufio.NewReader(theirs).ReadString('\n')
		if err == nil {
			fmt.Fprintf(theirs, "%s:%s heard %s", p.to.pod, header.Get(corev1.PortHeader), line)
		}
	}()
	return &pipeStream{ours, header.Clone()}, nil
}

func (p *fakePod) Close() error                       { p.once.Do(func() { close(p.closed) }); return nil }
func (p *fakePod) CloseChan() <-chan bool             { return p.closed }
func (p *fakePod) SetIdleTimeout(time.Duration)       {}
func (p *fakePod) RemoveStreams(...httpstream.Stream) {}

func ask(t *testing.T, address string) string {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintln(connection, "ahoy")
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

func TestForwardSurvivesARollout(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	var pods []*fakePod
	f := &forward{progress: ui.Discard(), open: map[net.Conn]struct{}{}, dial: func(to place) (httpstream.Connection, error) {
		pods = append(pods, &fakePod{to: to, closed: make(chan bool)})
		return pods[len(pods)-1], nil
	}}
	defer f.close()
	if f.describe().URL != "" {
		t.Error("it leads somewhere before there is a pod")
	}
	f.point(place{namespace: "default", pod: "first", port: int32(port)})
	found := regexp.MustCompile(`localhost:(\d+)/`).FindStringSubmatch(f.describe().URL)
	if found == nil || found[1] == strconv.Itoa(port) || !strings.Contains(f.describe().Note, "is taken") {
		t.Fatalf("with the port %d taken it says %q", port, f.describe().Note)
	}
	address := "127.0.0.1:" + found[1]
	for _, want := range []string{"first", "first"} {
		if got := ask(t, address); got != fmt.Sprintf("%s:%d heard ahoy", want, port) {
			t.Errorf("got %q, want the pod %s", got, want)
		}
	}
	if len(pods) != 1 {
		t.Errorf("%d tunnels for one pod", len(pods))
	}
	f.point(place{namespace: "default", pod: "second", port: int32(port)})
	if got := ask(t, address); !strings.HasPrefix(got, "second:") {
		t.Errorf("after a rollout: %q", got)
	}
	pods[1].broken.Store(true)
	if got := ask(t, address); !strings.HasPrefix(got, "second:") || len(pods) != 3 {
		t.Errorf("after a lost tunnel: %q, %d tunnels", got, len(pods))
	}
	f.close()
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("it still listens after it was closed")
	}
}

func TestForwardsOfAllPorts(t *testing.T) {
	free := func() int32 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		return int32(listener.Addr().(*net.TCPAddr).Port)
	}
	first, second := free(), free()
	deployment := &appsv1.Deployment{}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{
		{Ports: []corev1.ContainerPort{{ContainerPort: first, Name: "metrics"}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: second, Name: "http"}}},
	}
	st := state{rolled: deployment, pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}}
	to := destinationOf(st, []int32{first, 9})
	if diff := cmp.Diff([]int32{second, first, 9}, to.ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	to.ports = to.ports[:2]
	f := newForwards(&cluster{}, nil, ui.Discard())
	defer f.close()
	f.point(to)
	want := []ui.Address{
		{URL: fmt.Sprintf("http://localhost:%d/", second), Note: fmt.Sprintf("leads to port %d of the pod", second)},
		{URL: fmt.Sprintf("http://localhost:%d/", first), Note: fmt.Sprintf("leads to port %d of the pod", first)},
	}
	if diff := cmp.Diff(want, f.describe()); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	to.ports = to.ports[:1]
	f.point(to)
	if diff := cmp.Diff(want[:1], f.describe()); diff != "" {
		t.Errorf("with a port less (-want +got):\n%s", diff)
	}
	elsewhere := free()
	local := newForwards(&cluster{}, map[int32]int{first: int(elsewhere)}, ui.Discard())
	defer local.close()
	local.point(destination{namespace: "n", pod: "p", ports: []int32{first}})
	if got := local.describe()[0].URL; got != fmt.Sprintf("http://localhost:%d/", elsewhere) {
		t.Errorf("the app's file wants port %d, and it is %s", elsewhere, got)
	}
	if connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", first)); err == nil {
		connection.Close()
		t.Error("a port that the pod has no more is still taken")
	}
}
