package dev

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/ui"
)

// newAPI serves what a cluster of that UID says of its environment, whose registry has that address.
func newAPI(t *testing.T, uid, registry string) *httptest.Server {
	t.Helper()
	const core = "/api/v1/"
	answers := map[string]any{
		core + "namespaces/slipway-system/configmaps/slipway-environment": &corev1.ConfigMap{Data: map[string]string{"name": "stay-test", "cluster": uid}},
		core + "namespaces/kube-system":                                   &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}},
		core + "namespaces/kube-public/configmaps/local-registry-hosting": &corev1.ConfigMap{Data: map[string]string{"localRegistryHosting.v1": "host: " + registry}},
		core + "nodes": &corev1.NodeList{Items: []corev1.Node{{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}}}}},
	}
	server := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		answer, found := answers[request.URL.Path]
		response.Header().Set("Content-Type", "application/json")
		if !found {
			response.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(response).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server
}

// jsonOnly is the way to a server that speaks no protobuf.
func jsonOnly(server *httptest.Server) *rest.Config {
	return &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// TestStay has a cluster vanish and another one come, which a new kubeconfig leads to, and then work that ends by itself.
func TestStay(t *testing.T) {
	before, after := newAPI(t, "u1", "localhost:5001"), newAPI(t, "u2", "localhost:5002")
	var mutex sync.Mutex
	config := jsonOnly(before)
	said := &ui.Recorder{}
	var worked []string
	enough := errors.New("enough")
	err := Stay(t.Context(), StayOptions{Kube: config, Up: "slipway up --name stay-test", Progress: said, Reload: func() (*rest.Config, error) {
		mutex.Lock()
		defer mutex.Unlock()
		return config, nil
	}}, func(ctx context.Context, around *Environment, cluster dynamic.Interface) error {
		worked = append(worked, around.Registry)
		if around.Registry == "localhost:5002" {
			return enough
		}
		before.CloseClientConnections()
		before.Close()
		mutex.Lock()
		config = jsonOnly(after)
		mutex.Unlock()
		for ctx.Err() == nil { // as a watch does
			_, _ = cluster.Resource(listed).List(ctx, metav1.ListOptions{})
			time.Sleep(10 * time.Millisecond)
		}
		return ctx.Err()
	})
	if !errors.Is(err, enough) || strings.Join(worked, " ") != "localhost:5001 localhost:5002" {
		t.Errorf("%v, worked in %q", err, worked)
	}
	for _, want := range []string{"the cluster does not answer", "The environment was made again: this goes on in it"} {
		if !told(said, want) {
			t.Errorf("it does not say %q: %+v", want, said.Events())
		}
	}
}

// TestStayWhereItIs has work that goes on in a cluster that was away and is the same again.
func TestStayWhereItIs(t *testing.T) {
	api := newAPI(t, "u1", "localhost:5001")
	var away atomic.Bool
	answer := api.Config.Handler
	api.Config.Handler = http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		answer.ServeHTTP(response, request)
	})
	said := &ui.Recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	times := 0
	err := Stay(ctx, StayOptions{Kube: jsonOnly(api), Progress: said}, func(ctx context.Context, _ *Environment, cluster dynamic.Interface) error {
		times++
		away.Store(true)
		for ctx.Err() == nil && !told(said, "answers again") {
			_, _ = cluster.Resource(listed).List(ctx, metav1.ListOptions{})
			if told(said, "does not answer") {
				away.Store(false)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || times != 1 {
		t.Errorf("%v, began %d times", err, times)
	}
}

// listed is what work asks for.
var listed = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}

func told(said *ui.Recorder, want string) bool {
	return slices.ContainsFunc(said.Events(), func(e ui.Event) bool { return strings.Contains(e.Detail, want) })
}
