package ingress

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// A pod is Ready up to a second or so before the node's kube-proxy leads its Service's address to it (it gathers
// changes), and for that long the address refuses. A developer who is told that the app is ready, and looks, should not
// see that.
const (
	refusalPatience = 2 * time.Second
	refusalPause    = 50 * time.Millisecond
)

// dialer connects to Services; it tries again, for a while, what is refused.
type dialer struct {
	net.Dialer
	patience time.Duration
}

// DialContext connects, or returns the last refusal.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	deadline := time.Now().Add(d.patience)
	for {
		connection, err := d.Dialer.DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return connection, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(refusalPause):
		}
	}
}
