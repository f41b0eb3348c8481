package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// A pod that is Ready gets its traffic a moment later, once the node's network has been told of it. urlLimit is how long
// that may take before the URL is shown with a warning; urlPause lies between looks. That nothing is found may be the
// app's own answer, or that of an ingress that has not heard of it: after strangeLimit it is taken for the app's.
const (
	urlLimit     = 5 * time.Second
	strangeLimit = time.Second
	urlPause     = 50 * time.Millisecond
)

// showURL finds where the app answers, and waits until it does: whoever reads the URL uses it at once.
func (a *app) showURL(ctx context.Context, r *record, t target) {
	host := a.ingressHost(ctx, t)
	if host == "" {
		return
	}
	r.report.URL = fmt.Sprintf("http://%s:%s/", host, a.around.ingressPort)
	step := r.start(ctx, "url", r.report.URL)
	if err := awaitAnswer(ctx, net.JoinHostPort("127.0.0.1", a.around.ingressPort), r.report.URL); err != nil {
		if ctx.Err() == nil {
			a.progress.Warn("%s does not answer yet: %v", r.report.URL, err)
		}
		step.skip("it does not answer yet")
		return
	}
	step.done("answers")
}

// ingressHost is the host name of the workload's ingress; "" where there is none, or no port that leads to it.
func (a *app) ingressHost(ctx context.Context, t target) string {
	if a.around.ingressPort == "" {
		return ""
	}
	found, err := a.typed.NetworkingV1().Ingresses(t.namespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelWorkloadName + "=" + t.name})
	if err != nil {
		return "" // the app runs, whether or not we can say where
	}
	for _, ingress := range found.Items {
		for _, rule := range ingress.Spec.Rules {
			if rule.Host != "" {
				return rule.Host
			}
		}
	}
	return ""
}

// awaitAnswer returns when a server at address answers for a URL, whatever it says, as long as it is not that there is
// nobody behind it.
func awaitAnswer(ctx context.Context, address, url string) error {
	ctx, cancel := context.WithTimeout(ctx, urlLimit)
	defer cancel()
	transport := &http.Transport{
		// Not every system's resolver knows names below localhost.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	last, began := errors.New("nothing was tried"), time.Now()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
			_ = response.Body.Close()
			if answered(response.StatusCode, time.Since(began)) {
				return nil
			}
			err = errors.New(response.Status)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(urlPause):
		}
	}
	return last
}

// answered says whether a status, after a while, is the app's own answer.
func answered(status int, after time.Duration) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false
	case http.StatusNotFound:
		return after >= strangeLimit
	}
	return true
}
