package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// asProgram in the environment makes the test binary be slipwayd itself, so that tests can kill it.
const asProgram = "SLIPWAYD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a slipwayd controller of its own process.
type process struct {
	t       *testing.T
	command *exec.Cmd
	log     bytes.Buffer
	metrics string
}

// startProcess starts a controller and waits until it is ready.
func startProcess(t *testing.T, arguments ...string) *process {
	t.Helper()
	health := freeAddress(t)
	p := &process{t: t, metrics: freeAddress(t)}
	p.command = exec.Command(os.Args[0], append([]string{
		"controller", "--namespace=default", "--log-level=warn", "--leader-elect=false", "--ingress-addr=", "--ingress-tls-addr=",
		"--health-addr=" + health, "--metrics-addr=" + p.metrics,
	}, arguments...)...)
	// A scratch folder of its own: what is in it at the start is removed.
	p.command.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+t.TempDir())
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	waitFor(t, nil, "slipwayd ready", func() bool {
		status, _ := get(t, health, "/readyz", "")
		return status == http.StatusOK
	})
	return p
}

// kill ends the process without a warning.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
	if p.t.Failed() {
		p.t.Logf("slipwayd said:\n%s", p.log.String())
	}
}

// metric returns the sum of the values of a metric whose labels include all of those given, and false where it has none.
func (p *process) metric(name string, labels ...string) (float64, bool) {
	p.t.Helper()
	_, body := get(p.t, p.metrics, "/metrics", "")
	sum, found := 0.0, false
lines:
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum, found = sum+value, true
	}
	return sum, found
}

// idle says whether all owners of a kind, of which there are at least count, have been worked on and nothing waits. It
// is asked several times in a row, as the end of a reconcile may wake another owner.
func (p *process) idle(count int, owner, controller string) bool {
	p.t.Helper()
	for range 3 {
		realized, _ := p.metric("slipway_realize_duration_seconds_count", `owner="`+owner+`"`)
		depth, known := p.metric("workqueue_depth", `name="`+controller+`"`)
		active, _ := p.metric("controller_runtime_active_workers", `controller="`+controller+`"`)
		if realized < float64(count) || !known || depth != 0 || active != 0 {
			return false
		}
	}
	return true
}
