package pull

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"testing"
)

// TestCause: two attempts that end alike have the same words.
func TestCause(t *testing.T) {
	wrap := func(err error) error {
		return fmt.Errorf("fetching: %w", &url.Error{Op: "Get", URL: "http://slipway-git:9418/a.git", Err: err})
	}
	near := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 244, 0, 5), Port: port} }
	far := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 9418}
	reset := func(port int) error {
		return &net.OpError{Op: "read", Net: "tcp", Source: near(port), Addr: far, Err: syscall.ECONNRESET}
	}
	for _, test := range []struct {
		err         error
		cause, text string
	}{
		{wrap(reset(40001)), "connection reset by peer", `fetching: Get "http://slipway-git:9418/a.git": read tcp 10.0.0.2:9418: connection reset by peer`},
		{wrap(reset(40002)), "connection reset by peer", `fetching: Get "http://slipway-git:9418/a.git": read tcp 10.0.0.2:9418: connection reset by peer`},
		{wrap(&net.DNSError{Name: "slipway-git", Err: "no such host", IsNotFound: true}), "there is no host slipway-git", `fetching: Get "http://slipway-git:9418/a.git": lookup slipway-git: no such host`},
		{
			wrap(&net.DNSError{Name: "slipway-git", Err: "read udp 10.244.0.5:51234->10.96.0.10:53: i/o timeout", IsTimeout: true}), "looking up slipway-git failed",
			`fetching: Get "http://slipway-git:9418/a.git": lookup slipway-git: read udp 10.96.0.10:53: i/o timeout`,
		},
		{errors.New("read udp [fd00::5]:51234->[fd00::a]:53: i/o timeout"), "read udp [fd00::a]:53: i/o timeout", "read udp [fd00::a]:53: i/o timeout"},
		{wrap(context.DeadlineExceeded), "it did not answer in time", `fetching: Get "http://slipway-git:9418/a.git": context deadline exceeded`},
		{errors.New("the server answers 503"), "the server answers 503", "the server answers 503"},
	} {
		if got := Cause(test.err); got != test.cause {
			t.Errorf("Cause(%v) = %q, want %q", test.err, got, test.cause)
		}
		if got := Text(test.err); got != test.text {
			t.Errorf("Text = %q, want %q", got, test.text)
		}
	}
}
