package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Stream runs a command in a running container and returns a connection to its standard input and output. It lasts until
// it is closed or the command ends; ctx is for the start alone. What the command writes to standard error is dropped.
func (e *Engine) Stream(ctx context.Context, name string, command ...string) (net.Conn, error) {
	created, err := e.api.ContainerExecCreate(ctx, name, container.ExecOptions{Cmd: command, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, notFound(fmt.Errorf("running %q in container %s: %w", command[0], name, err))
	}
	attached, err := e.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("running %q in container %s: %w", command[0], name, err)
	}
	out, in := io.Pipe()
	s := &stream{Conn: attached.Conn, out: out, end: sync.OnceFunc(attached.Close)}
	go s.split(in, attached)
	return s, nil
}

// stream is a connection whose reading side comes out of the engine's frames.
type stream struct {
	net.Conn
	out *io.PipeReader
	end func()
}

func (s *stream) split(in *io.PipeWriter, attached types.HijackedResponse) {
	_, err := stdcopy.StdCopy(in, io.Discard, attached.Reader)
	_ = in.CloseWithError(err) // io.EOF when the command has ended
	s.end()
}

func (s *stream) Read(b []byte) (int, error) { return s.out.Read(b) }

func (s *stream) Close() error {
	s.end()
	return s.out.Close()
}
