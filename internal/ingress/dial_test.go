package ingress

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestDialerWaitsForAnAddressThatRefusesAtFirst(t *testing.T) {
	first, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	d := &dialer{patience: time.Minute}
	opened := make(chan net.Listener, 1)
	go func() {
		time.Sleep(3 * refusalPause) // so that at least one try is refused; the test holds without it, too
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("listening again: %v", err)
		}
		opened <- listener
	}()
	connection, err := d.DialContext(t.Context(), "tcp", address)
	if listener := <-opened; listener != nil {
		defer listener.Close()
	}
	if err != nil {
		t.Fatalf("DialContext() = %v, want a connection", err)
	}
	_ = connection.Close()
}

func TestDialerGivesUp(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if _, err := (&dialer{}).DialContext(t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("DialContext() = %v, want a refusal", err)
	}
}
