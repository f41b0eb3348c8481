package ingress

import (
	"cmp"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Table routes requests to upstreams. It is made once by Build and never changes.
type Table struct {
	exact    map[string][]route // by host
	wildcard map[string][]route // by the host without its first label, for *.example.com
	any      []route            // rules without a host, and default backends last
	apps     []App
}

// App is one entry of the listing: a host, or a path below a host that others share, and where it leads.
type App struct {
	Host      string `json:"host"`
	Path      string `json:"path"`
	Namespace string `json:"namespace"`
	Ingress   string `json:"ingress"`
	Service   string `json:"service"`
	Problem   string `json:"problem,omitempty"`
}

type route struct {
	path     string
	exact    bool
	fallback bool // a default backend: only where no rule fits
	upstream Upstream
}

// Build makes the table of the Ingresses of one class. Where two claim the same host and path the older one
// has it, and then the one whose namespace and name come first.
func Build(class string, ingresses []networkingv1.Ingress, services []corev1.Service) *Table {
	table := &Table{exact: map[string][]route{}, wildcard: map[string][]route{}}
	known := index(services)
	for _, ingress := range ofClass(class, ingresses) {
		for _, rule := range ingress.Spec.Rules {
			host := strings.ToLower(rule.Host)
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				upstream := known.resolve(ingress.Namespace, path.Backend)
				table.add(host, route{
					path:     cmp.Or(path.Path, "/"),
					exact:    path.PathType != nil && *path.PathType == networkingv1.PathTypeExact,
					upstream: upstream,
				})
				table.list(host, cmp.Or(path.Path, "/"), ingress, upstream)
			}
		}
		if backend := ingress.Spec.DefaultBackend; backend != nil {
			table.addDefault(ingress, known.resolve(ingress.Namespace, *backend))
		}
	}
	table.sort()
	return table
}

// ofClass returns the Ingresses of the class that are not being deleted, those that win a conflict first.
func ofClass(class string, ingresses []networkingv1.Ingress) []networkingv1.Ingress {
	var chosen []networkingv1.Ingress
	for _, ingress := range ingresses {
		if ours(class, &ingress) && ingress.DeletionTimestamp.IsZero() {
			chosen = append(chosen, ingress)
		}
	}
	slices.SortStableFunc(chosen, func(a, b networkingv1.Ingress) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return chosen
}

func ours(class string, ingress *networkingv1.Ingress) bool {
	return ingress.Spec.IngressClassName != nil && *ingress.Spec.IngressClassName == class
}

// addDefault makes upstream answer what the ingress's own rules leave: on its hosts, or everywhere if it has
// no rules.
func (t *Table) addDefault(ingress networkingv1.Ingress, upstream Upstream) {
	fallback := route{path: "/", fallback: true, upstream: upstream}
	if len(ingress.Spec.Rules) == 0 {
		t.add("", fallback)
		t.list("", "/", ingress, upstream)
		return
	}
	for _, rule := range ingress.Spec.Rules {
		t.add(strings.ToLower(rule.Host), fallback)
	}
}

func (t *Table) add(host string, r route) {
	switch rest, wild := strings.CutPrefix(host, "*."); {
	case host == "":
		t.any = append(t.any, r)
	case wild:
		t.wildcard[rest] = append(t.wildcard[rest], r)
	default:
		t.exact[host] = append(t.exact[host], r)
	}
}

func (t *Table) list(host, path string, ingress networkingv1.Ingress, upstream Upstream) {
	t.apps = append(t.apps, App{
		Host: host, Path: path, Namespace: ingress.Namespace, Ingress: ingress.Name,
		Service: upstream.Service, Problem: upstream.Problem,
	})
}

// sort puts the routes into the order in which they are tried. It is stable, so the older Ingress stays first.
func (t *Table) sort() {
	for _, routes := range t.exact {
		slices.SortStableFunc(routes, before)
	}
	for _, routes := range t.wildcard {
		slices.SortStableFunc(routes, before)
	}
	slices.SortStableFunc(t.any, before)
	slices.SortStableFunc(t.apps, func(a, b App) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
}

// before orders by the rules of Ingress: the longest path, and an exact one before a prefix of its length.
func before(a, b route) int {
	return cmp.Or(
		falseFirst(a.fallback, b.fallback),
		cmp.Compare(len(strings.TrimSuffix(b.path, "/")), len(strings.TrimSuffix(a.path, "/"))),
		falseFirst(!a.exact, !b.exact),
	)
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// Lookup returns where a request goes. known is false when no Ingress has the host; with known true and a
// nil Upstream the host has no such path. The host may carry a port.
func (t *Table) Lookup(host, path string) (upstream *Upstream, known bool) {
	host = hostname(host)
	candidates := t.exact[host]
	if candidates == nil {
		if _, rest, found := strings.Cut(host, "."); found {
			candidates = t.wildcard[rest]
		}
	}
	known = candidates != nil
	if path == "" {
		path = "/"
	}
	for _, routes := range [][]route{candidates, t.any} {
		for i := range routes {
			if routes[i].matches(path) {
				return &routes[i].upstream, true
			}
		}
	}
	return nil, known
}

// matches compares whole path elements: /a is a prefix of /a and /a/b, and not of /ab.
func (r route) matches(path string) bool {
	if r.exact {
		return r.path == path
	}
	prefix := strings.TrimSuffix(r.path, "/")
	rest, found := strings.CutPrefix(path, prefix)
	return found && (rest == "" || rest[0] == '/')
}

// Apps lists what the table leads to, by namespace, host and path.
func (t *Table) Apps() []App { return t.apps }

// hostname is a Host header without port, final dot and capitals.
func hostname(host string) string {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
