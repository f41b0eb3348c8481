package pull

import (
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport returns a transport that asks the registries that aliases lead to without a proxy. It fails fast: a
// registry that is asked again in ten seconds need not be waited for.
func NewTransport(aliases map[string]string) *http.Transport {
	direct := map[string]bool{}
	for _, host := range aliases {
		direct[host] = true
	}
	return &http.Transport{
		Proxy: func(request *http.Request) (*url.URL, error) {
			if direct[request.URL.Host] {
				return nil, nil
			}
			return http.ProxyFromEnvironment(request)
		},
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     90 * time.Second,
	}
}
