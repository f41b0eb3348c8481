package dev

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// stream is one connection to a port of a pod, by way of the API server.
type stream struct {
	httpstream.Stream

	tunnel  httpstream.Connection
	problem <-chan string // gets what the node says went wrong
}

// dialStream returns what connects to a port on the loopback interface of a pod of a cluster.
func dialStream(c *cluster) func(ctx context.Context, namespace, pod string, port int) (io.ReadWriteCloser, error) {
	dial := dialer(c)
	return func(ctx context.Context, namespace, pod string, port int) (io.ReadWriteCloser, error) {
		type dialled struct {
			tunnel httpstream.Connection
			err    error
		}
		result := make(chan dialled, 1)
		go func() { // the library's dialling cannot be cancelled
			tunnel, err := dial(place{namespace: namespace, pod: pod, port: int32(port)}) //nolint:gosec // a port
			result <- dialled{tunnel, err}
		}()
		select {
		case <-ctx.Done():
			go func() {
				if late := <-result; late.err == nil {
					_ = late.tunnel.Close()
				}
			}()
			return nil, context.Cause(ctx)
		case got := <-result:
			if got.err != nil {
				return nil, got.err
			}
			return openStream(got.tunnel, port)
		}
	}
}

func openStream(tunnel httpstream.Connection, port int) (io.ReadWriteCloser, error) {
	header := http.Header{}
	header.Set(corev1.PortHeader, strconv.Itoa(port))
	header.Set(corev1.PortForwardRequestIDHeader, "0")
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	problems, err := tunnel.CreateStream(header)
	if err != nil {
		_ = tunnel.Close()
		return nil, err
	}
	_ = problems.Close() // nothing is written to it
	header.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := tunnel.CreateStream(header)
	if err != nil {
		_ = tunnel.Close()
		return nil, err
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(problems)
		said <- string(text)
	}()
	return &stream{Stream: data, tunnel: tunnel, problem: said}, nil
}

// Read tells of the node's problem where the stream ends because of one.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err == nil {
		return n, nil
	}
	select {
	case text := <-s.problem:
		if text != "" {
			return n, errors.New(text)
		}
	default:
	}
	return n, err
}

// Close ends the stream and its tunnel.
func (s *stream) Close() error { return s.tunnel.Close() }
