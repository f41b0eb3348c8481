package ingress

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(name, clusterIP string) corev1.Service {
	return corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: clusterIP, Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "admin", Port: 9000}}},
	}
}

// rule is host, path and service:port; an exact path begins with "=".
type rule struct{ host, path, service, port string }

func newIngress(name, class string, age time.Duration, rules ...rule) networkingv1.Ingress {
	ingress := networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name,
		CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-age)),
	}}
	if class != "" {
		ingress.Spec.IngressClassName = &class
	}
	for _, rule := range rules {
		kind, path := networkingv1.PathTypePrefix, rule.path
		if path != "" && path[0] == '=' {
			kind, path = networkingv1.PathTypeExact, path[1:]
		}
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: rule.service, Port: networkingv1.ServiceBackendPort{Name: rule.port}}}
		if rule.port == "" {
			backend.Service.Port = networkingv1.ServiceBackendPort{Number: 80}
		}
		ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{
			Host: rule.host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &kind, Backend: backend}},
			}},
		})
	}
	return ingress
}

func testTable() *Table {
	external := service("external", "")
	external.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
	fallback := newIngress("fallback", "slipway", 0, rule{"shop.localhost", "/cart", "a", ""})
	fallback.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "b", Port: networkingv1.ServiceBackendPort{Number: 9000}}}
	return Build("slipway", []networkingv1.Ingress{
		newIngress("younger", "slipway", 0, rule{"a.localhost", "/", "b", ""}),
		newIngress("older", "slipway", time.Hour,
			rule{"A.localhost", "/", "a", "http"},
			rule{"a.localhost", "/api/", "b", "admin"},
			rule{"a.localhost", "=/api/v1", "a", "admin"},
			rule{"*.wild.localhost", "", "a", ""},
			rule{"deep.localhost", "/only", "a", ""},
			rule{"lost.localhost", "/", "nowhere", ""},
			rule{"noport.localhost", "/", "a", "grpc"},
			rule{"headless.localhost", "/", "headless", ""},
			rule{"external.localhost", "/", "external", ""},
		),
		newIngress("foreign", "nginx", 0, rule{"foreign.localhost", "/", "a", ""}),
		newIngress("classless", "", 0, rule{"classless.localhost", "/", "a", ""}),
		fallback,
	}, []corev1.Service{service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("headless", corev1.ClusterIPNone), external})
}

func TestLookup(t *testing.T) {
	tests := []struct {
		host, path string
		want       string // address, or ! and the problem
		known      bool
	}{
		{"a.localhost", "/", "10.0.0.1:80", true},
		{"a.localhost:8080", "", "10.0.0.1:80", true},
		{"A.LOCALHOST.", "/anything/else", "10.0.0.1:80", true},
		{"a.localhost", "/api", "10.0.0.2:9000", true},
		{"a.localhost", "/api/v2", "10.0.0.2:9000", true},
		{"a.localhost", "/apix", "10.0.0.1:80", true},
		{"a.localhost", "/api/v1", "10.0.0.1:9000", true},
		{"a.localhost", "/api/v1/x", "10.0.0.2:9000", true},
		{"x.wild.localhost", "/", "10.0.0.1:80", true},
		{"x.y.wild.localhost", "/", "", false},
		{"wild.localhost", "/", "", false},
		{"deep.localhost", "/", "", true},
		{"deep.localhost", "/only/this", "10.0.0.1:80", true},
		{"shop.localhost", "/cart", "10.0.0.1:80", true},
		{"shop.localhost", "/elsewhere", "10.0.0.2:9000", true},
		{"lost.localhost", "/", `!there is no Service "nowhere" in namespace "default"`, true},
		{"noport.localhost", "/", `!Service "a" has no port "grpc"`, true},
		{"headless.localhost", "/", `!Service "headless" is headless: it has no cluster IP to send requests to`, true},
		{"external.localhost", "/", "example.com:80", true},
		{"foreign.localhost", "/", "", false},
		{"classless.localhost", "/", "", false},
		{"localhost", "/", "", false},
		{"[::1]:8080", "/", "", false},
	}
	table := testTable()
	for _, test := range tests {
		t.Run(test.host+test.path, func(t *testing.T) {
			upstream, known := table.Lookup(test.host, test.path)
			got := ""
			if upstream != nil {
				got = upstream.Address
				if upstream.Problem != "" {
					got = "!" + upstream.Problem
				}
			}
			if got != test.want || known != test.known {
				t.Errorf("Lookup(%q, %q) = %q, %v; want %q, %v", test.host, test.path, got, known, test.want, test.known)
			}
		})
	}
}

func TestRulesWithoutHostAnswerEverywhere(t *testing.T) {
	table := Build("slipway", []networkingv1.Ingress{
		newIngress("any", "slipway", 0, rule{"", "/api", "a", ""}),
		newIngress("own", "slipway", 0, rule{"b.localhost", "/", "b", ""}),
	}, []corev1.Service{service("a", "10.0.0.1"), service("b", "10.0.0.2")})
	for host, want := range map[string]string{"whatever": "10.0.0.1:80", "b.localhost": "10.0.0.2:80"} {
		if upstream, known := table.Lookup(host, "/api/x"); !known || upstream.Address != want {
			t.Errorf("Lookup(%q) = %+v, %v; want %s", host, upstream, known, want)
		}
	}
	if _, known := table.Lookup("whatever", "/"); known {
		t.Error("a host that nobody named is known")
	}
}

func TestApps(t *testing.T) {
	table := Build("slipway", []networkingv1.Ingress{
		newIngress("two", "slipway", 0, rule{"b.localhost", "/", "b", ""}, rule{"a.localhost", "", "nowhere", ""}),
	}, []corev1.Service{service("b", "10.0.0.2")})
	want := []App{
		{Host: "a.localhost", Path: "/", Namespace: "default", Ingress: "two", Service: "nowhere", Problem: `there is no Service "nowhere" in namespace "default"`},
		{Host: "b.localhost", Path: "/", Namespace: "default", Ingress: "two", Service: "b"},
	}
	if diff := cmp.Diff(want, table.Apps()); diff != "" {
		t.Errorf("apps differ (-want +got):\n%s", diff)
	}
}

func FuzzLookup(f *testing.F) {
	f.Add("a.localhost:8080", "/api/v1")
	f.Add("[::1]:80", "")
	f.Add("..", "//")
	table := testTable()
	f.Fuzz(func(t *testing.T, host, path string) {
		if upstream, known := table.Lookup(host, path); upstream != nil && !known {
			t.Errorf("Lookup(%q, %q) leads somewhere and is not known", host, path)
		}
	})
}
