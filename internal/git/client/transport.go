package client

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport returns a transport that connects to the values of aliases (host and port) where a URL names their keys, past
// any proxy: what is localhost for a person is another host for a pod.
func NewTransport(aliases map[string]string) *http.Transport {
	direct := map[string]bool{}
	for from, to := range aliases {
		direct[from], direct[to] = true, true
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: func(request *http.Request) (*url.URL, error) {
			if direct[request.URL.Host] {
				return nil, nil
			}
			return http.ProxyFromEnvironment(request)
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if other, known := aliases[address]; known {
				address = other
			}
			return dialer.DialContext(ctx, network, address)
		},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
	}
}
