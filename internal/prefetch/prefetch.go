// Package prefetch has a node pull an image before the pod that will run it is there: the pull then goes on beside the
// supply chain and beside the making of the pod's sandbox, instead of after both. It asks the node's container runtime in
// the way the kubelet does, so that the kubelet finds the image where it would have put it. It is an attempt and no more:
// a pod whose image was not prefetched pulls it by itself.
package prefetch

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// socket of the container runtime, where kind's node images have it.
const socket = "/run/containerd/containerd.sock"

// Engine runs commands in containers; *docker.Engine is one.
type Engine interface {
	Stream(ctx context.Context, container string, command ...string) (net.Conn, error)
}

// Node is the way to a node's container runtime. Its methods may be called by several goroutines at once.
type Node struct{ connection *grpc.ClientConn }

// New returns the way to the node that is this container of the engine. It does no I/O: the first Pull connects, and so
// does one after the connection was lost.
func New(engine Engine, container string) (*Node, error) {
	// Nothing but a file of the node leads to the runtime. socat is in every node image, since the kubelet needs it.
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return engine.Stream(ctx, container, "socat", "-", "UNIX-CONNECT:"+socket)
	}
	connection, err := grpc.NewClient("passthrough:///"+container, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("preparing the way to the container runtime of node %s: %w", container, err)
	}
	return &Node{connection}, nil
}

// Pull returns when the node has the image, which must be named as the pod will name it.
func (n *Node) Pull(ctx context.Context, image string) error {
	_, err := cri.NewImageServiceClient(n.connection).PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: image}})
	if err != nil {
		return fmt.Errorf("having the node pull %s: %w", image, err)
	}
	return nil
}

// Close ends the connection.
func (n *Node) Close() error { return n.connection.Close() }
