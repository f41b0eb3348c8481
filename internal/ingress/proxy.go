package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// dialTimeout is long for a cluster's own network and short for a person.
const dialTimeout = 3 * time.Second

// explainer says why an upstream that did not answer may not; "" when it does not know.
type explainer interface {
	explain(ctx context.Context, upstream *Upstream) string
}

// proxy answers every request: from an app, or with a page that says why not.
type proxy struct {
	routes  *atomic.Pointer[Table]
	why     explainer
	forward *httputil.ReverseProxy
	logger  *slog.Logger
}

type upstreamKey struct{}

func newProxy(routes *atomic.Pointer[Table], why explainer, logger *slog.Logger) *proxy {
	p := &proxy{routes: routes, why: why, logger: logger}
	p.forward = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		FlushInterval: -1, // what an app streams arrives as it is sent
		ErrorHandler:  p.unanswered,
		ErrorLog:      slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		Transport: &http.Transport{
			DialContext: (&dialer{patience: refusalPatience, timeout: dialTimeout, dial: new(net.Dialer).DialContext}).DialContext,
			// A connection that is kept stays with the pod that it reached, and after a rollout that is the
			// old one. A new one costs a fraction of a millisecond and always reaches a pod that is ready.
			DisableKeepAlives: true,
			// The app's own choice of encoding is passed through.
			DisableCompression: true,
		},
	}
	return p
}

// rewrite sends the request to the upstream that ServeHTTP has chosen; the app sees the host that its user
// sees.
func rewrite(request *httputil.ProxyRequest) {
	upstream, _ := request.In.Context().Value(upstreamKey{}).(*Upstream)
	request.Out.URL.Scheme = "http"
	request.Out.URL.Host = upstream.Address
	request.Out.Host = request.In.Host
	request.SetXForwarded()
}

// ServeHTTP routes one request.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	table := p.routes.Load()
	if table == nil {
		show(w, r, page{Status: http.StatusServiceUnavailable, Title: "Starting", Message: "The routes to the apps are not known yet."})
		return
	}
	upstream, known := table.Lookup(r.Host, r.URL.Path)
	switch {
	case !known:
		listing(w, r, table)
	case upstream == nil:
		show(w, r, page{
			Status: http.StatusNotFound, Title: "No such path",
			Message: fmt.Sprintf("No app answers at %s%s.", hostname(r.Host), r.URL.Path),
			Apps:    table.Apps(),
		})
	case upstream.Problem != "":
		show(w, r, page{
			Status: http.StatusServiceUnavailable, Title: "The app cannot be reached",
			Message: fmt.Sprintf("The Ingress of %s leads nowhere: %s.", hostname(r.Host), upstream.Problem),
		})
	default:
		p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), upstreamKey{}, upstream)))
	}
}

// listing shows the apps: as the front page, or because nothing answers at the host that was asked for.
func listing(w http.ResponseWriter, r *http.Request, table *Table) {
	host := hostname(r.Host)
	if host == "localhost" || net.ParseIP(host) != nil {
		message := "These apps run in this environment."
		if len(table.Apps()) == 0 {
			message = "There are no apps yet. An Ingress of this environment's class makes one appear here."
		}
		show(w, r, page{Status: http.StatusOK, Title: "Apps", Message: message, Apps: table.Apps()})
		return
	}
	show(w, r, page{
		Status: http.StatusNotFound, Title: "No app here",
		Message: fmt.Sprintf("No app answers at %s.", host),
		Apps:    table.Apps(),
	})
}

// unanswered tells of an upstream that gave no answer: 503 when its pods explain it, else 502.
func (p *proxy) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	upstream, _ := r.Context().Value(upstreamKey{}).(*Upstream)
	if errors.Is(err, context.Canceled) || r.Context().Err() != nil {
		w.WriteHeader(http.StatusBadGateway) // nobody reads it: the client has gone
		return
	}
	p.logger.Debug("an app did not answer", "service", upstream.Namespace+"/"+upstream.Service, "address", upstream.Address, "error", err)
	status, reason := http.StatusServiceUnavailable, p.why.explain(r.Context(), upstream)
	if reason == "" {
		status, reason = http.StatusBadGateway, plainly(err)
	}
	show(w, r, page{
		Status: status, Title: "The app does not answer",
		Message: fmt.Sprintf("Service %q in namespace %q does not answer: %s.", upstream.Service, upstream.Namespace, reason),
		Advice:  fmt.Sprintf("kubectl -n %s get pods,endpointslices,services", upstream.Namespace),
	})
}

// plainly is the part of a network error that means something to a person.
func plainly(err error) string {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation.Err.Error()
	}
	return err.Error()
}
