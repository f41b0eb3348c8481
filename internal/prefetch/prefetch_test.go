package prefetch

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// runtime is a node's container runtime, as far as images are pulled.
type runtime struct {
	cri.UnimplementedImageServiceServer
	mutex  sync.Mutex
	pulled []string
}

func (r *runtime) PullImage(_ context.Context, request *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	image := request.GetImage().GetImage()
	if strings.HasSuffix(image, "/none") {
		return nil, errors.New("no such image")
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.pulled = append(r.pulled, image)
	return &cri.PullImageResponse{ImageRef: image}, nil
}

// engine leads to the runtime, over loopback, and keeps what it was asked to run.
type engine struct {
	address string
	mutex   sync.Mutex
	ran     []string
	streams []net.Conn
}

func (e *engine) Stream(ctx context.Context, container string, command ...string) (net.Conn, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.ran = append(e.ran, container+": "+strings.Join(command, " "))
	if e.address == "" {
		return nil, errors.New("no such container")
	}
	stream, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.address)
	if err == nil {
		e.streams = append(e.streams, stream)
	}
	return stream, err
}

func newNode(t *testing.T, e *engine) *Node {
	t.Helper()
	node, err := New(e, "node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

func TestPull(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, images := grpc.NewServer(), &runtime{}
	cri.RegisterImageServiceServer(server, images)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	e := &engine{address: listener.Addr().String()}
	node := newNode(t, e)

	for _, image := range []string{"localhost:5000/apps/a@sha256:1", "localhost:5000/apps/b@sha256:2"} {
		if err := node.Pull(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"node: socat - UNIX-CONNECT:/run/containerd/containerd.sock"}; !slices.Equal(e.ran, want) {
		t.Errorf("for two images it ran %q, want %q", e.ran, want)
	}
	if err := node.Pull(t.Context(), "localhost:5000/none"); err == nil || !strings.Contains(err.Error(), "localhost:5000/none") || !strings.Contains(err.Error(), "no such image") {
		t.Errorf("an image that is not there: %v", err)
	}

	// The node is made again: the connection is lost, and there is a new one. The pull that finds out may fail.
	_ = e.streams[0].Close()
	for range 3 {
		if err = node.Pull(t.Context(), "localhost:5000/apps/c@sha256:3"); err == nil {
			break
		}
	}
	if err != nil || len(e.streams) != 2 {
		t.Errorf("after a lost connection: %v, %d connections", err, len(e.streams))
	}
	if want := "localhost:5000/apps/c@sha256:3"; !slices.Contains(images.pulled, want) {
		t.Errorf("pulled %q, want %q too", images.pulled, want)
	}
}

func TestPullWithoutNode(t *testing.T) {
	e := &engine{}
	if err := newNode(t, e).Pull(t.Context(), "localhost:5000/apps/a@sha256:1"); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("without a node: %v", err)
	}
}
