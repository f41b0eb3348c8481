package app_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
)

// testDeps has no real thing in it: a function that a test does not set is not called, or panics. Log files go to
// the returned folder.
func testDeps(t *testing.T) (d *app.Deps, out, errOut *bytes.Buffer, state string) {
	t.Helper()
	state = t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	streams, out, errOut := ui.Test("")
	return &app.Deps{Streams: streams}, out, errOut, filepath.Join(state, "slipway")
}

func TestUpFlags(t *testing.T) {
	defaults := bootstrap.UpOptions{
		Name: "slipway", Profile: "", RegistryEvents: true, NodeImage: cluster.NodeImage, Timeout: 10 * time.Minute,
	}
	with := func(change func(*bootstrap.UpOptions)) bootstrap.UpOptions {
		o := defaults
		change(&o)
		return o
	}
	for _, test := range []struct {
		args string
		want bootstrap.UpOptions
	}{
		{"", defaults},
		{"--name a --profile minimal --timeout 90s", with(func(o *bootstrap.UpOptions) { o.Name, o.Profile, o.Timeout = "a", "minimal", 90*time.Second })},
		{"--registry-port 5001 --registry-events=false", with(func(o *bootstrap.UpOptions) { o.RegistryPort, o.RegistryEvents = 5001, false })},
		{"--ingress-port 81 --ingress-tls-port 444", with(func(o *bootstrap.UpOptions) { o.IngressPort, o.IngressTLSPort = 81, 444 })},
		{"--images dir --node-image i --kubeconfig k", with(func(o *bootstrap.UpOptions) { o.ImagesDir, o.NodeImage, o.Kubeconfig = "dir", "i", "k" })},
		{"--switch-context", with(func(o *bootstrap.UpOptions) { o.SwitchContext, o.SwitchContextSet = true, true })},
		{"--switch-context=false", with(func(o *bootstrap.UpOptions) { o.SwitchContextSet = true })},
	} {
		t.Run(test.args, func(t *testing.T) {
			d, _, _, _ := testDeps(t)
			var got bootstrap.UpOptions
			cmd := app.NewCmdUp(d, func(_ context.Context, o *app.UpOptions) error {
				got = o.UpOptions
				return nil
			})
			execute(t, cmd, test.args)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(bootstrap.UpOptions{}, "Progress", "Log")); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func execute(t *testing.T, cmd *cobra.Command, args string) {
	t.Helper()
	cmd.SetArgs(strings.Fields(args))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var summary = bootstrap.Summary{
	Name: "slipway", Profile: "basic", Context: "kind-slipway", Current: true, Registry: "localhost:5001", Changed: true,
	URLs: []bootstrap.URL{{Title: "Apps", URL: "http://localhost:8080/"}}, Notes: []string{"port 5000 is taken: the registry is on localhost:5001"},
}

func TestUp(t *testing.T) {
	d, out, errOut, state := testDeps(t)
	d.Up = func(_ context.Context, o bootstrap.UpOptions) (*bootstrap.Summary, error) {
		o.Progress.Start("engine", "Docker engine").Done("28")
		o.Log.Debug("a detail")
		// What libraries log by themselves must end in the file.
		klog.Warning("from klog")
		logrus.Warn("from logrus")
		log.Print("from log")
		return &summary, nil
	}
	if code := app.RunWith(t.Context(), d, []string{"up"}); code != app.ExitFine {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	want := `
Environment slipway is ready (profile basic).

  Context  kind-slipway (current)
  Images   localhost:5001/...
  Apps     http://localhost:8080/
  Note     port 5000 is taken: the registry is on localhost:5001

Try next:
  slipway dev DIR           build the app in DIR, run it, and follow your edits
  slipway status            what runs, and how it is
  kubectl get workloads -A  the same, seen by the cluster
  slipway down              remove it all
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if got := errOut.String(); !strings.Contains(got, "✓ engine       Docker engine  28") || strings.Contains(got, "from ") {
		t.Errorf("stderr = %q, want the progress alone", got)
	}
	text, err := os.ReadFile(filepath.Join(state, "slipway", "up.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a detail", "from klog", "from logrus", "from log"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
}

func TestUpJSON(t *testing.T) {
	d, out, _, _ := testDeps(t)
	d.Up = func(context.Context, bootstrap.UpOptions) (*bootstrap.Summary, error) { return &summary, nil }
	if code := app.RunWith(t.Context(), d, []string{"up", "--progress", "json"}); code != app.ExitFine {
		t.Fatalf("exit code %d", code)
	}
	if got := out.String(); !strings.Contains(got, `"type":"result","result":{"name":"slipway","profile":"basic","context":"kind-slipway"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("stdout = %q, want one result", got)
	}
}

func TestUpFails(t *testing.T) {
	d, out, errOut, state := testDeps(t)
	d.Up = func(context.Context, bootstrap.UpOptions) (*bootstrap.Summary, error) {
		return nil, hint.With(errors.New("creating the cluster: no"), "try again")
	}
	if code := app.RunWith(t.Context(), d, []string{"up", "--name", "a"}); code != app.ExitFailed {
		t.Errorf("exit code %d, want %d", code, app.ExitFailed)
	}
	want := "Error: creating the cluster: no\nHint: try again\nLog: " + filepath.Join(state, "a", "up.log") + "\n"
	if diff := cmp.Diff(want, errOut.String()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if out.Len() > 0 {
		t.Errorf("stdout = %q, want nothing", out)
	}
}

func TestInterrupted(t *testing.T) {
	d, _, errOut, _ := testDeps(t)
	ctx, cancel := context.WithCancel(t.Context())
	d.Up = func(ctx context.Context, _ bootstrap.UpOptions) (*bootstrap.Summary, error) {
		cancel()
		return nil, ctx.Err()
	}
	if code := app.RunWith(ctx, d, []string{"up"}); code != app.ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, app.ExitInterrupted)
	}
	if got := errOut.String(); !strings.Contains(got, "Interrupted.\nHint: `slipway up` goes on from here") {
		t.Errorf("stderr = %q", got)
	}
}

func TestDown(t *testing.T) {
	d, out, _, state := testDeps(t)
	removal := bootstrap.Removal{Removed: []string{"container slipway-registry", "network slipway"}, Kept: []string{"volume slipway-registry"}}
	d.Down = func(_ context.Context, o bootstrap.DownOptions) (*bootstrap.Removal, error) {
		if !o.KeepRegistry || o.Name != "slipway" {
			t.Errorf("options = %+v", o)
		}
		return &removal, nil
	}
	if code := app.RunWith(t.Context(), d, []string{"down", "--keep-registry"}); code != app.ExitFine {
		t.Fatalf("exit code %d", code)
	}
	want := "Removed:\n  container slipway-registry\n  network slipway\nKept: volume slipway-registry\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log files are still there: %v", err)
	}
	out.Reset()
	removal = bootstrap.Removal{}
	if code := app.RunWith(t.Context(), d, []string{"down", "--keep-registry"}); code != app.ExitFine {
		t.Fatalf("exit code %d", code)
	}
	if got := out.String(); got != "Nothing to remove: there is no environment \"slipway\".\n" {
		t.Errorf("stdout = %q", got)
	}
}

// One environment's logs go, another's stay, and so do those of a removal that failed.
func TestDownKeepsOtherLogs(t *testing.T) {
	d, out, _, state := testDeps(t)
	other := filepath.Join(state, "other", "up.log")
	if err := os.MkdirAll(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Down = func(context.Context, bootstrap.DownOptions) (*bootstrap.Removal, error) {
		return &bootstrap.Removal{Removed: []string{"container x"}}, errors.New("volume is in use")
	}
	if code := app.RunWith(t.Context(), d, []string{"down"}); code != app.ExitFailed {
		t.Errorf("exit code %d, want %d", code, app.ExitFailed)
	}
	if !strings.Contains(out.String(), "container x") {
		t.Errorf("stdout = %q, want what was removed all the same", out)
	}
	for _, file := range []string{other, filepath.Join(state, "slipway", "down.log")} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestCompletionOfNames(t *testing.T) {
	d, out, _, _ := testDeps(t)
	d.List = func(context.Context) ([]environment.Name, error) { return []environment.Name{"a", "b"}, nil }
	if code := app.RunWith(t.Context(), d, []string{"__complete", "down", "--name", ""}); code != app.ExitFine {
		t.Fatalf("exit code %d", code)
	}
	if !strings.HasPrefix(out.String(), "a\nb\n") {
		t.Errorf("completions = %q, want a and b", out)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(code)
}
