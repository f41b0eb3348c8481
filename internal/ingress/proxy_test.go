package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

type because string

func (b because) explain(context.Context, *Upstream) string { return string(b) }

// serve runs the proxy over one app at app.localhost, and over one at down.localhost that does not listen.
func serve(t *testing.T, app http.Handler, why explainer) *httptest.Server {
	t.Helper()
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	table := &Table{exact: map[string][]route{
		"app.localhost":  {{path: "/", upstream: Upstream{Namespace: "default", Service: "app", Address: backend.Listener.Addr().String()}}},
		"down.localhost": {{path: "/", upstream: Upstream{Namespace: "default", Service: "down", Address: "127.0.0.1:1"}}},
		"lost.localhost": {{path: "/", upstream: Upstream{Namespace: "default", Service: "lost", Problem: "there is no Service"}}},
		"deep.localhost": {{path: "/only", upstream: Upstream{Namespace: "default", Service: "app", Address: backend.Listener.Addr().String()}}},
	}, apps: []App{{Host: "app.localhost", Path: "/", Namespace: "default", Ingress: "app", Service: "app"}}}
	routes := &atomic.Pointer[Table]{}
	routes.Store(table)
	front := httptest.NewServer(newProxy(routes, why, slog.New(slog.DiscardHandler)))
	t.Cleanup(front.Close)
	return front
}

func request(t *testing.T, front *httptest.Server, host, accept string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/x?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func TestProxyForwards(t *testing.T) {
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for=%s host=%s proto=%s", r.Host, r.URL, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"))
	}), because(""))
	status, body, _ := request(t, front, "app.localhost:8080", "")
	want := "app.localhost:8080 /x?q=1 for=127.0.0.1 host=app.localhost:8080 proto=http"
	if status != http.StatusOK || body != want {
		t.Errorf("answer = %d %q, want 200 %q", status, body, want)
	}
}

func TestProxySaysWhyNot(t *testing.T) {
	tests := []struct {
		name, host, accept string
		why                because
		status             int
		want               string
		mediaType          string
	}{
		{"front page", "localhost:8080", "text/html", "", 200, `<a href="http://app.localhost:8080/">`, "text/html; charset=utf-8"},
		{"front page by address", "127.0.0.1", "", "", 200, "http://app.localhost/  (default/app)", "text/plain; charset=utf-8"},
		{"unknown host", "other.localhost:8080", "", "", 404, "No app answers at other.localhost.", "text/plain; charset=utf-8"},
		{"unknown host as JSON", "other.localhost:8080", "application/json", "", 404, `"url": "http://app.localhost:8080/"`, "application/json"},
		{"unknown path", "deep.localhost", "", "", 404, "No app answers at deep.localhost/x.", "text/plain; charset=utf-8"},
		{"no service", "lost.localhost", "text/html", "", 503, "there is no Service.", "text/html; charset=utf-8"},
		{"no pod", "down.localhost", "", "Service \"down\" selects no pod", 503, `Service "down" in namespace "default" does not answer: Service "down" selects no pod.`, "text/plain; charset=utf-8"},
		{"refused", "down.localhost", "text/html", "", 502, `connection refused`, "text/html; charset=utf-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			front := serve(t, http.NotFoundHandler(), test.why)
			status, body, header := request(t, front, test.host, test.accept)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("answer = %d\n%s\nwant %d and %q", status, body, test.status, test.want)
			}
			if got := header.Get("Content-Type"); got != test.mediaType {
				t.Errorf("Content-Type = %q, want %q", got, test.mediaType)
			}
			if test.accept == "application/json" && !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
			if reload := strings.Contains(body, `http-equiv="refresh"`); reload != (status >= 500 && test.accept == "text/html") {
				t.Errorf("the page reloads itself: %v, with status %d", reload, status)
			}
		})
	}
}

func TestProxyBeforeTheRoutesAreKnown(t *testing.T) {
	front := httptest.NewServer(newProxy(&atomic.Pointer[Table]{}, because(""), slog.New(slog.DiscardHandler)))
	defer front.Close()
	if status, _, _ := request(t, front, "app.localhost", ""); status != http.StatusServiceUnavailable {
		t.Errorf("status = %d, want 503", status)
	}
}

func TestPagesEscapeTheHost(t *testing.T) {
	recorder := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "<script>alert(1)</script>"
	r.Header.Set("Accept", "text/html")
	listing(recorder, r, Build("slipway", []networkingv1.Ingress{newIngress("x", "slipway", 0, rule{"", "/", "a", ""})}, nil))
	if strings.Contains(recorder.Body.String(), "<script>") {
		t.Error("the page holds the host as it came")
	}
}

func TestProxyStreams(t *testing.T) {
	proceed := make(chan struct{})
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-proceed: // the client has read the first line, so it was not held back
			fmt.Fprintln(w, "second")
		case <-r.Context().Done():
		}
	}), because(""))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "app.localhost"
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Scan()
	close(proceed)
	if first, second := lines.Text(), lines.Scan(); first != "first" || !second || lines.Text() != "second" {
		t.Errorf("lines = %q, %q", first, lines.Text())
	}
}

func TestProxyUpgrades(t *testing.T) {
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = buffered.Flush()
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(buffered, "echo ", line)
		_ = buffered.Flush()
	}), because(""))
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Fprint(connection, "hello\n")
	if line, err := reader.ReadString('\n'); response.StatusCode != http.StatusSwitchingProtocols || line != "echo hello\n" {
		t.Errorf("upgrade = %s, then %q, %v", response.Status, line, err)
	}
}

func TestCertificateFitsTheAppsHosts(t *testing.T) {
	certificate, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "hello.localhost", "hello.default.localhost", "127.0.0.1", "::1"} {
		if err := parsed.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

func TestListenerServesHTTPSAndEnds(t *testing.T) {
	certificate, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&listener{addr: address, certificate: &certificate, logger: slog.New(slog.DiscardHandler),
			handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}).Start(ctx)
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its own certificate
	for {
		response, err := client.Get("https://" + address) //nolint:noctx // ended by the test's own timeout
		if err == nil {
			response.Body.Close()
			break
		}
		select {
		case err := <-done:
			t.Fatalf("the listener ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Start = %v, want nil", err)
	}
	if err := (&listener{addr: "256.0.0.1:1"}).Start(t.Context()); err == nil {
		t.Error("an impossible address was opened")
	}
}
