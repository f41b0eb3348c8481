package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// giveAccess writes a kubeconfig for the controller: who it is in an environment, with a token as in its pod, and not the
// administrator with a certificate, which the API server would check at every request.
func (b *bench) giveAccess(ctx context.Context, s *server) error {
	const namespace, account = "slipway-system", "slipway-controller"
	space := &corev1.Namespace{}
	space.Name = namespace
	if err := s.client.Create(ctx, space); err != nil {
		return err
	}
	manifests, err := os.ReadFile(filepath.Join(b.root, "embedded", "manifests", "controller", "access.yaml"))
	if err != nil {
		return err
	}
	objects, err := parse(string(manifests))
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := s.client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	clients, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return err
	}
	token, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("requesting a token for the controller: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: s.config.Host, CertificateAuthorityData: s.config.CAData}
	config.AuthInfos["bench"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	config.CurrentContext = "bench"
	return clientcmd.WriteToFile(*config, s.kubeconfig)
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

// cpu is the time that the process has run.
func (p *controllerProcess) cpu() (time.Duration, error) { return cpuOf(p.command.Process.Pid) }

// cpuTimes are the times that the processes have run, by their names: they tell more than the clock on a machine that
// does other things too.
type cpuTimes map[string]time.Duration

// used returns the times of the controller and of the API server and its etcd, which this process has started. It leaves
// out what /proc does not tell.
func (p *controllerProcess) used() cpuTimes {
	times := cpuTimes{}
	if own, err := p.cpu(); err == nil {
		times["slipwayd"] = own
	}
	for _, child := range children() {
		name, err := os.ReadFile(filepath.Join("/proc", child, "comm"))
		if err != nil {
			continue
		}
		id, err := strconv.Atoi(child)
		if err != nil {
			continue
		}
		switch name := strings.TrimSpace(string(name)); name {
		case "kube-apiserver", "etcd":
			if used, err := cpuOf(id); err == nil {
				times[name] = used
			}
		}
	}
	return times
}

// children are the processes that this one has started, which Linux lists by the thread that did.
func children() []string {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var all []string
	for _, list := range lists {
		if content, err := os.ReadFile(list); err == nil {
			all = append(all, strings.Fields(string(content))...)
		}
	}
	return all
}

func (c cpuTimes) since(before cpuTimes) cpuTimes {
	times := cpuTimes{}
	for name, used := range c {
		times[name] = used - before[name]
	}
	return times
}

// each says the times of one of so many workloads.
func (c cpuTimes) each(count int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %.1f", name, c[name].Seconds()*1000/float64(count)))
	}
	return strings.Join(parts, ", ")
}

// cpuOf is the time that a process has run. Linux counts it in hundredths of a second.
func cpuOf(id int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
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
