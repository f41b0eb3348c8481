//go:build linux

package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// connection is what the supervisor needs of a client's connection.
type connection interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// Door is a port on the pod's loopback interface. It is made of system calls, since package net, which can do far more,
// would be a third of the program.
type Door struct{ descriptor int }

// Open listens on a port of 127.0.0.1; 0 means one that is free. That address is the pod's own: the API server's port
// forwarding leads there, and other pods do not reach it.
func Open(port int) (*Door, error) {
	descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	err = syscall.SetsockoptInt(descriptor, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(descriptor, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.Listen(descriptor, 16)
	}
	if err != nil {
		_ = syscall.Close(descriptor)
		return nil, fmt.Errorf("listening on port %d: %w", port, err)
	}
	return &Door{descriptor: descriptor}, nil
}

// Port is the one on which it listens.
func (d *Door) Port() (int, error) {
	address, err := syscall.Getsockname(d.descriptor)
	if err != nil {
		return 0, err
	}
	four, ok := address.(*syscall.SockaddrInet4)
	if !ok {
		return 0, errors.New("the socket has no IPv4 address")
	}
	return four.Port, nil
}

// accept waits for a client. Its error is for good.
func (d *Door) accept() (connection, error) {
	for {
		descriptor, _, err := syscall.Accept4(d.descriptor, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ECONNABORTED):
			continue
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			time.Sleep(time.Second) // others may close some
			continue
		case err != nil:
			return nil, err
		}
		// Answers are short, and each is waited for.
		_ = syscall.SetsockoptInt(descriptor, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		return os.NewFile(uintptr(descriptor), "client"), nil
	}
}
