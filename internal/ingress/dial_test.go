package ingress

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
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
	d := &dialer{patience: time.Minute, dial: new(net.Dialer).DialContext}
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
	if _, err := (&dialer{dial: new(net.Dialer).DialContext}).DialContext(t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("DialContext() = %v, want a refusal", err)
	}
}

// The first two attempts meet a pod that is gone, and the third one that is there: it must not wait as long as the
// kernel would.
func TestDialerTriesAnewWhatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		d := &dialer{timeout: dialTimeout, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if attempts++; attempts < 3 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			near, _ := net.Pipe()
			return near, nil
		}}
		start := time.Now()
		connection, err := d.DialContext(t.Context(), "tcp", "app:80")
		if err != nil {
			t.Fatalf("DialContext() = %v, want a connection", err)
		}
		_ = connection.Close()
		if took, want := time.Since(start), 3*firstAttempt; took != want {
			t.Errorf("it took %s, want %s", took, want)
		}
	})
}

func TestDialerGivesUpOnWhatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialer{timeout: dialTimeout, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		start := time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", "app:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("DialContext() = %v, want a deadline", err)
		}
		if took := time.Since(start); took < dialTimeout || took > dialTimeout+firstAttempt {
			t.Errorf("it took %s, want about %s", took, dialTimeout)
		}
	})
}
