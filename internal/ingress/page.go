package ingress

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what the proxy itself has to say.
type page struct {
	Status  int    `json:"status"`
	Title   string `json:"title"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // a command to try
	Apps    []App  `json:"-"`
	Links   []link `json:"apps,omitempty"` // Apps, with the URLs that the reader can use
}

type link struct {
	App
	URL string `json:"url,omitempty"` // empty when a wildcard leaves the host open
}

// Waiting tells whether trying again soon makes sense.
func (p page) Waiting() bool {
	return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusBadGateway
}

// show answers in the form that the client prefers: HTML for a browser, JSON if asked for, else plain text.
func show(w http.ResponseWriter, r *http.Request, p page) {
	for _, app := range p.Apps {
		p.Links = append(p.Links, link{App: app, URL: urlOf(r, app)})
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if p.Waiting() {
		header.Set("Retry-After", "2")
	}
	// Writing fails only when the client has gone.
	accept := r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "application/json"):
		header.Set("Content-Type", "application/json")
		w.WriteHeader(p.Status)
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(p)
	case strings.Contains(accept, "text/html"):
		header.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(p.Status)
		_ = pageTemplate.Execute(w, p)
	default:
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(p.Status)
		_, _ = w.Write([]byte(p.text()))
	}
}

func (p page) text() string {
	var out strings.Builder
	fmt.Fprintln(&out, p.Message)
	if p.Advice != "" {
		fmt.Fprintf(&out, "Try: %s\n", p.Advice)
	}
	if len(p.Links) > 0 {
		fmt.Fprintln(&out, "\nApps:")
	}
	for _, link := range p.Links {
		address := link.URL
		if address == "" {
			address = link.Host + link.Path
		}
		fmt.Fprintf(&out, "  %s  (%s/%s)", address, link.Namespace, link.Service)
		if link.Problem != "" {
			fmt.Fprintf(&out, "  %s", link.Problem)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

// urlOf is app's URL under the scheme and port by which the client has reached us.
func urlOf(r *http.Request, app App) string {
	if strings.HasPrefix(app.Host, "*") {
		return ""
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := app.Host
	if host == "" {
		host = hostname(r.Host)
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		host = net.JoinHostPort(host, port)
	}
	return scheme + "://" + host + app.Path
}
