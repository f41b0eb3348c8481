package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// server is an API server of its own, without nodes and controllers.
type server struct {
	environment *envtest.Environment
	config      *rest.Config
	client      client.Client
	kubeconfig  string
}

func (b *bench) startServer() (*server, error) {
	ctrllog.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join(b.root, "embedded", "crds")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
	}
	config, err := environment.Start()
	if err != nil {
		return nil, fmt.Errorf("starting an API server (scripts/bench.sh sets KUBEBUILDER_ASSETS): %w", err)
	}
	s := &server{environment: environment, config: config, kubeconfig: filepath.Join(b.work, "server-kubeconfig")}
	config.QPS = -1
	if err = os.WriteFile(s.kubeconfig, environment.KubeConfig, 0o600); err == nil {
		s.client, err = client.New(config, client.Options{})
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() { _ = s.environment.Stop() }

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

// controllerProcess is a `slipwayd controller`.
type controllerProcess struct {
	command *exec.Cmd
	log     bytes.Buffer
}

func (b *bench) startController(ctx context.Context, s *server) (*controllerProcess, error) {
	health, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &controllerProcess{command: exec.CommandContext(ctx, filepath.Join(b.root, "out", "slipwayd-linux-"+runtime.GOARCH),
		"controller", "--leader-elect=false", "--log-level=warn", "--ingress-addr=", "--ingress-tls-addr=", "--metrics-addr=", "--health-addr="+health)}
	p.command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if ready(ctx, "http://"+health+"/readyz") {
			return p, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("the controller is not ready; it said:\n%s", p.log.String())
}

func ready(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (p *controllerProcess) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait()
}

// peak is the most memory that the process has had, in MiB.
func (p *controllerProcess) peak() (float64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kilobytes); err == nil {
			return kilobytes / 1024, nil
		}
	}
	return 0, errors.New("/proc tells no peak of memory")
}

// idle waits until the events of the last work are told, and then a minute, and returns how many cores the process used
// in that.
func (p *controllerProcess) idle(ctx context.Context) (float64, error) {
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return (after - before).Seconds() / idleTime.Seconds(), err
}

func pause(ctx context.Context, long time.Duration) error {
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpu is the time that the process has run. Linux counts it in hundredths of a second.
func (p *controllerProcess) cpu() (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the program may hold blanks; it ends with the last bracket.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, errors.New("/proc tells no CPU time")
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		value, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += value
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
