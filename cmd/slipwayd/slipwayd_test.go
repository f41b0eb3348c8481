package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

func TestControllerFlags(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	defaults := controllerOptions{
		pollInterval: 10 * time.Second, healthAddr: ":8081", metricsAddr: ":8082", ingressAddr: ":8080", ingressTLSAddr: ":8443",
		webhookAddr: ":9443", webhookAccount: "slipway-webhooks", leaderElect: true, namespace: "slipway-system", logLevel: "info",
	}
	set := defaults
	set.registryAliases = map[string]string{"localhost:5000": "slipway-registry:5000", "localhost:5001": "x:5000"}
	set.registryEvents = "http://slipway-registry:5000/slipway/v1/events"
	set.leaderElect, set.ingressTLSAddr, set.maxConcurrent = false, "", 4
	set.maxConcurrentWorkloads, set.maxConcurrentDeliverables, set.maxConcurrentRunnables = 5, 6, 7
	set.hideSecrets = true
	set.pprofAddr, set.logLevel = "localhost:6060", "DEBUG"
	tests := []struct {
		name      string
		arguments []string
		want      controllerOptions
	}{
		{"defaults", nil, defaults},
		{"as up calls it", []string{
			"--registry-alias=localhost:5000=slipway-registry:5000", "--registry-alias=localhost:5001=x:5000",
			"--registry-events=http://slipway-registry:5000/slipway/v1/events", "--leader-elect=false", "--ingress-tls-addr=", "--max-concurrent=4",
			"--max-concurrent-workloads=5", "--max-concurrent-deliveries=6", "--max-concurrent-runnables=7", "--hide-secrets", "--pprof-addr=localhost:6060", "--log-level=DEBUG",
		}, set},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got controllerOptions
			command := newControllerCommand(func(_ context.Context, _ *cobra.Command, options controllerOptions) error {
				got = options
				return nil
			})
			command.SetArgs(append([]string{}, test.arguments...))
			if err := command.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(controllerOptions{})); diff != "" {
				t.Errorf("options differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegistryFlags(t *testing.T) {
	var got registryOptions
	command := newRegistryCommand(func(_ context.Context, _ *cobra.Command, options registryOptions) error {
		got = options
		return nil
	})
	command.SetArgs([]string{"--events=false"})
	if err := command.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := (registryOptions{addr: ":5000", root: "/var/lib/registry", logLevel: "info"}); got != want {
		t.Errorf("options = %+v, want %+v", got, want)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for _, arguments := range [][]string{{"fly"}, {"registry", "extra"}, {"git", "extra"}, {"git", "--root="}, {"registry", "--log-level=loud", "--root=" + t.TempDir()}, {"controller", "--registry-alias=localhost"}} {
		if err := run(t.Context(), arguments); err == nil {
			t.Errorf("slipwayd %q succeeded", arguments)
		}
	}
}

func TestRegistryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The socket is opened before the context is looked at, or refused because of it: both end at once.
	if err := run(ctx, []string{"registry", "--addr=127.0.0.1:0", "--root=" + t.TempDir()}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v", err)
	}
}

func TestGitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"git", "--addr=127.0.0.1:0", "--root=" + t.TempDir()}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v", err)
	}
}

func TestLogsAreJSONLines(t *testing.T) {
	var out bytes.Buffer
	logger, err := newLogger(&out, "warn")
	if err != nil {
		t.Fatal(err)
	}
	captureKubernetesLogs(logger)

	logger.Info("not shown")
	// Not ctrl.Log: it keeps the first logger of the process, which may be another test's.
	klog.ErrorS(errors.New("no"), "shown", "key", "value")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if line["msg"] != "shown" || line["key"] != "value" || line["level"] != "ERROR" {
		t.Errorf("line = %v", line)
	}
}

func TestMemoryFollowsTheContainer(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	beforeGC := debug.SetGCPercent(100)
	t.Cleanup(func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(beforeGC)
	})
	files := func(content map[string]string) func(string) ([]byte, error) {
		return func(name string) ([]byte, error) {
			if text, found := content[name]; found {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		}
	}
	const v2, v1 = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
	tests := []struct {
		name    string
		files   map[string]string
		environ map[string]string
		want    int64
	}{
		{"version 2", map[string]string{v2: "100000000\n"}, nil, 90000000},
		{"version 1", map[string]string{v1: "200000000\n"}, nil, 180000000},
		{"no limit, version 2", map[string]string{v2: "max\n"}, nil, before},
		{"no limit, version 1", map[string]string{v1: "9223372036854771712\n"}, nil, before},
		{"no control group", nil, nil, before},
		{"set by hand", map[string]string{v2: "100000000"}, map[string]string{"GOMEMLIMIT": "1GiB"}, before},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			debug.SetMemoryLimit(before)
			limitMemory(func(name string) string { return test.environ[name] }, files(test.files))
			if got := debug.SetMemoryLimit(-1); got != test.want {
				t.Errorf("limit = %d, want %d", got, test.want)
			}
		})
	}
}

func TestAManagerIsMadeWithoutAskingTheCluster(t *testing.T) {
	config := &rest.Config{Host: "http://127.0.0.1:1"}
	if _, err := newManager(config, controllerOptions{namespace: "slipway-system"}); err != nil {
		t.Errorf("newManager = %v, want none: the cluster may come later", err)
	}
	if config.QPS != -1 {
		t.Errorf("QPS = %v, want -1", config.QPS)
	}
}
