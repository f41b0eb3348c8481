package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"slipway.dev/slipway/bootstrap/cluster"
)

// server is an API server of its own, without nodes and controllers.
type server struct {
	environment *envtest.Environment
	config      *rest.Config
	client      client.Client
	kubeconfig  string
}

func (b *bench) startServer(ctx context.Context) (*server, error) {
	ctrllog.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join(b.root, "embedded", "crds")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
	}
	// As slipway sets up an environment's.
	program := filepath.Join(b.work, "kube-apiserver")
	script := fmt.Sprintf("#!/bin/sh\nGOGC=%s exec '%s' \"$@\"\n", cluster.ServerCollection, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-apiserver"))
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil { //nolint:gosec // it is to be executed
		return nil, err
	}
	environment.ControlPlane.GetAPIServer().Path = program
	config, err := environment.Start()
	if err != nil {
		return nil, fmt.Errorf("starting an API server (scripts/bench.sh sets KUBEBUILDER_ASSETS): %w", err)
	}
	s := &server{environment: environment, config: config, kubeconfig: filepath.Join(b.work, "server-kubeconfig")}
	config.QPS = -1
	if s.client, err = client.New(config, client.Options{}); err == nil {
		err = b.giveAccess(ctx, s)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() { _ = s.environment.Stop() }

// countStamped fails unless the workloads' objects are so many.
func (s *server) countStamped(ctx context.Context, want int) error {
	from, err := metadata.NewForConfig(s.config)
	if err != nil {
		return err
	}
	count := 0
	for _, kind := range []schema.GroupVersionResource{configMaps, secrets, deployments} {
		list, err := from.Resource(kind).Namespace("default").List(ctx, metav1.ListOptions{LabelSelector: "carto.run/workload-name"})
		if err != nil {
			return fmt.Errorf("listing %s: %w", kind.Resource, err)
		}
		count += len(list.Items)
	}
	if count != want {
		return fmt.Errorf("all workloads are Ready with %d objects, and not %d", count, want)
	}
	return nil
}

// requestCount is a number of API requests by what they are for.
type requestCount struct{ events, watches, others float64 }

func (r requestCount) since(before requestCount) requestCount {
	return requestCount{r.events - before.events, r.watches - before.watches, r.others - before.others}
}

// requests reads how many requests the API server has had for objects. Leases are left out: the API server renews its
// own.
func (s *server) requests(ctx context.Context) (requestCount, error) {
	clients, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return requestCount{}, err
	}
	body, err := clients.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return requestCount{}, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	var count requestCount
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "apiserver_request_total{") || strings.Contains(line, `,resource=""`) || strings.Contains(line, `,resource="leases"`) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return requestCount{}, err
		}
		switch {
		case strings.Contains(line, `verb="WATCH"`):
			count.watches += value
		case strings.Contains(line, `,resource="events"`):
			count.events += value
		default:
			count.others += value
		}
	}
	return count, lines.Err()
}
