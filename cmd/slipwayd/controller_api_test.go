package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestControllerOnARealAPIServer runs the whole program: it takes the lease, is ready, proxies to a Service by
// an Ingress and fills in its status, and gives the lease back when it ends.
func TestControllerOnARealAPIServer(t *testing.T) {
	_, cluster := newAPIServer(t)

	reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "slipway-webhooks"}}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: reader.Namespace, Name: reader.Name}}
	for _, object := range []client.Object{
		reader,
		&rbacv1.Role{ObjectMeta: reader.ObjectMeta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"comes-later"}, Verbs: []string{"list", "watch"}}}},
		&rbacv1.RoleBinding{ObjectMeta: reader.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader.Name}, Subjects: subjects},
	} {
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	health, proxy := freeAddress(t), freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"controller", "--namespace=default", "--log-level=error", "--metrics-addr=",
			"--health-addr=" + health, "--ingress-addr=" + proxy, "--ingress-tls-addr=",
			"--webhook-addr=" + freeAddress(t), "--webhook-secret=comes-later",
		})
	}()
	waitFor(t, ended, "ready", func() bool {
		status, _ := get(t, health, "/readyz", "")
		return status == http.StatusOK
	})
	if status, body := get(t, proxy, "/", "localhost"); status != http.StatusOK {
		t.Errorf("the front page = %d %s", status, body)
	}

	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from "+r.Host) }))
	defer app.Close()
	createApp(t, cluster, app.Listener.Addr().String())
	waitFor(t, ended, "the app's answer", func() bool {
		status, body := get(t, proxy, "/", "hello.default.localhost:8080")
		return status == http.StatusOK && body == "hello from hello.default.localhost:8080"
	})
	waitFor(t, ended, "the ingress's status", func() bool {
		var ingress networkingv1.Ingress
		if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "hello"}, &ingress); err != nil {
			t.Fatal(err)
		}
		addresses := ingress.Status.LoadBalancer.Ingress
		return len(addresses) == 1 && addresses[0].Hostname == "localhost"
	})

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run = %v, want nil", err)
	}
	var lease coordinationv1.Lease
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: leaseName}, &lease); err != nil {
		t.Fatal(err)
	}
	if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
		t.Errorf("the lease is still held by %q", *holder)
	}
}

// newAPIServer starts an API server, to which KUBECONFIG then leads, and returns a client of the administrator's.
func newAPIServer(t *testing.T) (*envtest.Environment, client.Client) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: scripts/test-api.sh runs this")
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "embedded", "crds")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, environment.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	config.QPS = -1
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return environment, cluster
}

// createApp makes a Service that leads to address, and an Ingress for it. No ClusterIP can be reached without
// a node, so the Service is an external one.
func createApp(t *testing.T, cluster client.Client, address string) {
	t.Helper()
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	class, prefix := "slipway", networkingv1.PathTypePrefix
	meta := metav1.ObjectMeta{Namespace: "default", Name: "hello"}
	objects := []client.Object{
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}},
		&networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{
				Host: "hello.default.localhost",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "hello", Port: networkingv1.ServiceBackendPort{Number: int32(port)}}}, //nolint:gosec // a port fits
				}}}},
			}},
		}},
	}
	for _, object := range objects {
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// get returns the status and body of http://address/path with the Host header host; 0 when nothing answers.
func get(t *testing.T, address, path, host string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body))
}

// waitFor fails the test when the program ends (unless ended is nil) or two minutes have passed before done.
func waitFor(t *testing.T, ended <-chan error, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("slipwayd ended before %s: %v", what, err)
		case <-limit:
			t.Fatalf("%s has not come", what)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
