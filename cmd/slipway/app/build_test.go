package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/dev"
	"slipway.dev/slipway/internal/fulfil"
)

const aKubeconfig = `{apiVersion: v1, kind: Config, contexts: [{name: kind-slipway, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: a, user: {}}]}`

// buildDeps are those of an environment in which builds have these outcomes.
func buildDeps(t *testing.T, outcomes ...fulfil.Outcome) (d *app.Deps, out, errOut interface{ String() string }, got *fulfil.Options, kubeconfig string) {
	t.Helper()
	d, stdout, stderr, _ := testDeps(t)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(aKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	got = &fulfil.Options{}
	d.LookAround = func(context.Context, *rest.Config, string) (*dev.Environment, error) {
		return &dev.Environment{Name: "slipway", Registry: "localhost:5001", Platform: v1.Platform{OS: "linux", Architecture: "amd64"}}, nil
	}
	d.Stay = func(ctx context.Context, o dev.StayOptions, work func(context.Context, *dev.Environment, dynamic.Interface) error) error {
		around, _ := d.LookAround(ctx, o.Kube, o.Up)
		cluster, err := dynamic.NewForConfig(o.Kube)
		if err != nil {
			return err
		}
		return work(ctx, around, cluster)
	}
	d.Build = func(_ context.Context, o fulfil.Options) ([]fulfil.Outcome, error) {
		*got = o
		return outcomes, nil
	}
	d.WatchBuilds = func(_ context.Context, o fulfil.Options) error {
		*got = o
		for _, one := range outcomes {
			o.Observe(one)
		}
		return nil
	}
	return d, stdout, stderr, got, kubeconfig
}

var (
	builtOne  = fulfil.Outcome{Namespace: "team", Name: "one", Reason: "SOURCE", Image: "localhost:5001/apps/one@sha256:1", Seconds: 1.5}
	failedOne = fulfil.Outcome{Namespace: "team", Name: "two", Reason: "MANUAL", Error: "go build .:\nmain.go:1:1: no", Seconds: 2}
)

func TestBuild(t *testing.T) {
	for _, test := range []struct {
		name, args string
		outcomes   []fulfil.Outcome
		code       int
		out        string
	}{
		{"nothing", "", nil, app.ExitFine, "No image is asked for.\n"},
		{"nothing, for programs", "-o json", nil, app.ExitFine, "[]\n"},
		{"built", "", []fulfil.Outcome{builtOne}, app.ExitFine, "team/one localhost:5001/apps/one@sha256:1\n"},
		{"one is wrong", "", []fulfil.Outcome{builtOne, failedOne}, app.ExitFailed, "team/one localhost:5001/apps/one@sha256:1\nteam/two does not build:\ngo build .:\nmain.go:1:1: no\n"},
		{"watching", "--watch -o json", []fulfil.Outcome{builtOne, failedOne}, app.ExitFine, `{"namespace":"team","name":"one","reason":"SOURCE","image":"localhost:5001/apps/one@sha256:1","seconds":1.5}
{"namespace":"team","name":"two","reason":"MANUAL","error":"go build .:\nmain.go:1:1: no","seconds":2}
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, out, errOut, got, kubeconfig := buildDeps(t, test.outcomes...)
			args := append([]string{"build", "--kubeconfig", kubeconfig, "-n", "team", "--jobs", "3"}, strings.Fields(test.args)...)
			if code := app.RunWith(t.Context(), d, args); code != test.code || out.String() != test.out {
				t.Errorf("exit code %d, %q, want %d, %q\n%s", code, out, test.code, test.out, errOut)
			}
			if got.Namespace != "team" || got.Jobs != 3 || got.Registry != "localhost:5001" || got.Hosts["slipway-registry:5000"] != "localhost:5001" || got.By == "" || got.Cluster == nil {
				t.Errorf("options %+v", got)
			}
			if watches := got.Events != ""; watches != strings.Contains(test.args, "--watch") || watches && got.Events != "http://localhost:5001/slipway/v1/events" {
				t.Errorf("events from %q", got.Events)
			}
		})
	}
}

func TestBuildWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"build --jobs 0":                "--jobs must be 1 or more",
		"build a":                       "takes no arguments",
		"build -o json --progress json": "choose one",
		"build --watch -o yaml":         "it must be one of json",
	} {
		d, _, errOut, _, _ := buildDeps(t)
		if code := app.RunWith(t.Context(), d, strings.Fields(args)); code != app.ExitUsage || !strings.Contains(errOut.String(), want) {
			t.Errorf("%s: exit code %d\n%s", args, code, errOut)
		}
	}
}
