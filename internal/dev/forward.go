package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"slipway.dev/slipway/internal/ui"
)

// destination is a pod and the ports on which its program listens. Its zero value is nowhere.
type destination struct {
	namespace, pod string
	ports          []int32 // the best one first
}

// destinationOf is the pod that a run arrived at, with the ports that its Deployment declares and then the further ones.
func destinationOf(st state, further []int32) destination {
	if st.pod == nil {
		return destination{}
	}
	var ports []int32
	spec := &st.pod.Spec
	if st.rolled != nil {
		spec = &st.rolled.Spec.Template.Spec
	}
	for _, c := range spec.Containers {
		for _, port := range c.Ports {
			switch {
			case port.Protocol != "" && port.Protocol != corev1.ProtocolTCP:
			case port.Name == "http":
				ports = append([]int32{port.ContainerPort}, ports...)
			default:
				ports = append(ports, port.ContainerPort)
			}
		}
	}
	d := destination{namespace: st.pod.Namespace, pod: st.pod.Name}
	for _, port := range append(ports, further...) {
		if !slices.Contains(d.ports, port) {
			d.ports = append(d.ports, port)
		}
	}
	return d
}

// place is one port of a pod.
type place struct {
	namespace, pod string
	port           int32
}

// forward leads from a port of this machine to the newest pod. The local port is taken once and stays; each rollout
// only changes where new connections go.
type forward struct {
	progress ui.Progress
	wanted   int // the port on this machine

	dialing sync.Mutex // held while a connection's streams are opened; before mutex

	mutex    sync.Mutex // guards what follows
	dial     func(place) (httpstream.Connection, error)
	listener net.Listener // nil before the first pod
	to       place
	tunnel   httpstream.Connection // to that pod; nil before the first connection, and after it was lost
	requests int
	wait     sync.WaitGroup
	closed   bool
	open     map[net.Conn]struct{}
}

// dialer returns what opens a tunnel to a pod of a cluster.
func dialer(c *cluster) func(place) (httpstream.Connection, error) {
	return func(to place) (httpstream.Connection, error) {
		url := c.typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(to.namespace).Name(to.pod).SubResource("portforward").URL()
		transport, upgrader, err := spdy.RoundTripperFor(c.config)
		if err != nil {
			return nil, err
		}
		older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
		newer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, c.config)
		if err != nil {
			return nil, err
		}
		connection, _, err := portforward.NewFallbackDialerForStreaming(newer, older, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		}).Dial(portforward.PortForwardProtocolV1Name)
		return connection, err
	}
}

// newForward returns a forward that leads nowhere yet; wanted is the port on this machine, or the next that is free.
func newForward(dial func(place) (httpstream.Connection, error), wanted int, progress ui.Progress) *forward {
	return &forward{dial: dial, wanted: wanted, progress: progress, open: map[net.Conn]struct{}{}}
}

// tries is how many ports are tried from the app's own upwards.
const tries = 50

// point makes new connections go to a pod, and begins to listen if it has not yet.
func (f *forward) point(to place) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return
	}
	if f.tunnel != nil && to != f.to {
		_ = f.tunnel.Close()
		f.tunnel = nil
	}
	f.to = to
	if f.listener != nil {
		return
	}
	listener, err := listen(f.wanted)
	if err != nil {
		f.progress.Warn("forwarding port %d of the pod: %v", to.port, err)
		return
	}
	f.listener = listener
	f.wait.Go(func() { f.accept(listener) })
}

// localPort is where a port of a pod is wanted on this machine: those below 1024, which are not for everyone, 8000
// higher.
func localPort(port int32) int {
	if port < 1024 {
		port += 8000
	}
	return int(port)
}

// listen takes a port on the loopback interface: the one given, or the next that is free.
func listen(port int) (net.Listener, error) {
	var first error
	for i := range tries {
		if port+i > 65535 {
			break
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))) //nolint:noctx // it does not wait
		if err == nil {
			return listener, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// describe says where it leads; the zero Address when it does not.
func (f *forward) describe() ui.Address {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.listener == nil {
		return ui.Address{}
	}
	address, ok := f.listener.Addr().(*net.TCPAddr)
	if !ok {
		return ui.Address{}
	}
	note := fmt.Sprintf("leads to port %d of the pod", f.to.port)
	if address.Port != f.wanted {
		note += fmt.Sprintf(" (%d is taken on this machine)", f.wanted)
	}
	return ui.Address{URL: fmt.Sprintf("http://localhost:%d/", address.Port), Note: note}
}

// move makes connections go into another cluster, once they are pointed to a pod there.
func (f *forward) move(dial func(place) (httpstream.Connection, error)) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.dial, f.to = dial, place{port: f.to.port}
	if f.tunnel != nil {
		_ = f.tunnel.Close()
		f.tunnel = nil
	}
}

func (f *forward) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		f.mutex.Lock()
		if f.closed {
			f.mutex.Unlock()
			_ = connection.Close()
			return
		}
		f.open[connection] = struct{}{}
		f.wait.Go(func() { f.serve(connection) })
		f.mutex.Unlock()
	}
}

func (f *forward) serve(connection net.Conn) {
	defer func() {
		_ = connection.Close()
		f.mutex.Lock()
		delete(f.open, connection)
		f.mutex.Unlock()
	}()
	err := f.carry(connection)
	f.mutex.Lock()
	closed := f.closed
	f.mutex.Unlock()
	if err != nil && !closed && !errors.Is(err, net.ErrClosed) {
		f.progress.Warn("forwarding a connection to the pod: %v", err)
	}
}

// streams opens the two streams of one connection. A tunnel that was lost, because its pod has gone or the API server
// was away, is dialled once more.
func (f *forward) streams() (data, problems httpstream.Stream, tunnel httpstream.Connection, err error) {
	f.dialing.Lock()
	defer f.dialing.Unlock()
	for range 2 {
		header := http.Header{}
		if tunnel, err = f.connect(header); err != nil {
			return nil, nil, nil, err
		}
		header.Set(corev1.StreamType, corev1.StreamTypeError)
		if problems, err = tunnel.CreateStream(header); err == nil {
			_ = problems.Close() // nothing is written to it
			header.Set(corev1.StreamType, corev1.StreamTypeData)
			if data, err = tunnel.CreateStream(header); err == nil {
				return data, problems, tunnel, nil
			}
		}
		f.lose(tunnel)
	}
	return nil, nil, nil, err
}

// connect returns the tunnel to the pod, a new one if need be, and puts the port and a number for the request into the
// header. It does not hold the lock while it dials, which may take long.
func (f *forward) connect(header http.Header) (httpstream.Connection, error) {
	f.mutex.Lock()
	to, tunnel, dial := f.to, f.tunnel, f.dial
	f.requests++
	header.Set(corev1.PortHeader, strconv.Itoa(int(to.port)))
	header.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(f.requests))
	f.mutex.Unlock()
	if tunnel != nil {
		return tunnel, nil
	}
	tunnel, err := dial(to)
	if err != nil {
		return nil, err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		_ = tunnel.Close()
		return nil, net.ErrClosed
	}
	if f.to == to {
		f.tunnel = tunnel // else there is a newer pod, and this tunnel serves one connection
	}
	return tunnel, nil
}

// lose forgets a tunnel that does not work any more.
func (f *forward) lose(tunnel httpstream.Connection) {
	_ = tunnel.Close()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.tunnel == tunnel {
		f.tunnel = nil
	}
}

// carry copies both ways until the pod's side ends, and returns what the node says went wrong.
func (f *forward) carry(connection net.Conn) error {
	data, problems, tunnel, err := f.streams()
	if err != nil {
		return err
	}
	defer func() {
		tunnel.RemoveStreams(data, problems)
		f.mutex.Lock()
		defer f.mutex.Unlock()
		if f.tunnel != tunnel {
			_ = tunnel.Close() // nobody else will
		}
	}()
	said := make(chan error, 1)
	go func() {
		text, err := io.ReadAll(problems)
		if len(text) > 0 {
			err = errors.New(string(text))
		}
		said <- err
	}()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(connection, data)
	}()
	go func() {
		_, _ = io.Copy(data, connection)
		_ = data.Close() // the program sees that no more comes
	}()
	<-back
	_ = data.Reset()
	select {
	case err = <-said:
	case <-tunnel.CloseChan():
		err = nil // the pod has gone, which the next connection finds out
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (f *forward) close() {
	f.mutex.Lock()
	f.closed = true
	if f.listener != nil {
		_ = f.listener.Close()
	}
	for connection := range f.open {
		_ = connection.Close()
	}
	if f.tunnel != nil {
		_ = f.tunnel.Close()
	}
	f.mutex.Unlock()
	ended := make(chan struct{})
	go func() {
		f.wait.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endLimit): // the library's dialling cannot be cancelled
	}
}

// endLimit is how long close waits for connections that are just being opened.
const endLimit = time.Second
