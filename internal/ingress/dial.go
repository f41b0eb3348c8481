package ingress

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// A pod is Ready up to a second or so before the node's kube-proxy leads its Service's address to it (it gathers
// changes), and for that long the address refuses, or leads to a pod that is gone and does not answer at all. A
// developer who is told that the app is ready, and looks, should not see that.
const (
	refusalPatience = 2 * time.Second
	refusalPause    = 50 * time.Millisecond
)

// firstAttempt is how long the first attempt at a connection may take; each further one may take twice as long. A
// cluster's own network connects within a millisecond or so. What has not connected by then has been led to a pod that
// is gone; the kernel would ask again there after 1 s and after 3 s (RFC 6298), while a new attempt is led anew.
const firstAttempt = 250 * time.Millisecond

// dialer connects to Services; it tries again, for a while, what is refused or not answered.
type dialer struct {
	patience time.Duration // with refusals; 0 is none
	timeout  time.Duration // of all attempts without an answer together; 0 is none
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects, or returns what the last attempt met.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	start := time.Now()
	for limit := firstAttempt; ; {
		attempt, cancel := context.WithTimeout(ctx, limit)
		connection, err := d.dial(attempt, network, address)
		unanswered := err != nil && attempt.Err() != nil
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return connection, err
		case unanswered && time.Since(start) < d.timeout:
			limit = min(2*limit, max(firstAttempt, d.timeout-time.Since(start)))
			continue
		case !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > d.patience:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(refusalPause):
		}
	}
}
