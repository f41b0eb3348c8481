package app_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/collect"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/contents"
	"slipway.dev/slipway/registry/server"
)

// withRegistry gives the commands a real registry with an image that has a source attached, and returns its address and
// the image's digest. inUse is what the cluster names.
func withRegistry(t *testing.T, d *app.Deps, inUse *contents.Keep) (host, digest string) {
	t.Helper()
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	serving, err := server.New(t.Context(), server.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(serving)
	t.Cleanup(func() { web.Close(); _ = serving.Close() })
	host = strings.TrimPrefix(web.URL, "http://")
	d.Registry = func(context.Context, environment.Name) (string, error) { return host, nil }
	d.InUse = func(context.Context, environment.Name, string) (contents.Keep, error) {
		if inUse == nil {
			return contents.Keep{}, errors.New("the cluster is away")
		}
		return *inUse, nil
	}
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	pusher := registry.NewPusher(nil)
	for _, tag := range []string{"v1", "v2"} {
		ref, err := name.NewTag(host + "/apps/hello:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		pushed, err := pusher.Push(t.Context(), image, ref, nil)
		if err != nil {
			t.Fatal(err)
		}
		digest = pushed.Reference.DigestStr()
		if _, err := pusher.AttachSource(t.Context(), pushed.Reference, registry.Source{Location: "/src", Time: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	return host, digest
}

func TestRegistryList(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	host, digest := withRegistry(t, d, &contents.Keep{})
	for args, wants := range map[string][]string{
		"":                         {"REPOSITORY", "apps/hello", "1 ", "ago", "Registry " + host + " takes"},
		"apps/hello":               {"DIGEST", digest, "v1, v2", "  sha256:", registry.SourceType},
		host + "/apps/hello":       {digest},
		"apps/hello -o json":       {`"repository": "apps/hello"`, `"digest": "` + digest + `"`},
		"__complete registry ls a": {"apps/hello"},
	} {
		out.Reset()
		line := append([]string{"registry", "ls"}, strings.Fields(args)...)
		if strings.HasPrefix(args, "__") {
			line = strings.Fields(args)
		}
		if code := app.RunWith(t.Context(), d, line); code != app.ExitFine {
			t.Errorf("%q: exit code %d: %s", args, code, errOut)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q does not print %q:\n%s", args, want, out)
			}
		}
	}
	for args, want := range map[string]string{"apps/none": `no repository "apps/none"`, "quay.io/x": `"quay.io/x" is not in registry`, "UPPER": "names no image"} {
		errOut.Reset()
		if code := app.RunWith(t.Context(), d, []string{"registry", "ls", args}); code != app.ExitFailed || !strings.Contains(errOut.String(), want) {
			t.Errorf("%q: exit code %d, want %q in:\n%s", args, code, want, errOut)
		}
	}
}

func TestRegistryRemove(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	inUse := &contents.Keep{}
	host, digest := withRegistry(t, d, inUse)
	run := func(code int, want string, args ...string) {
		t.Helper()
		out.Reset()
		errOut.Reset()
		if got := app.RunWith(t.Context(), d, append([]string{"registry", "rm"}, args...)); got != code || !strings.Contains(out.String()+errOut.String(), want) {
			t.Errorf("rm %q: exit code %d, want %d and %q in:\n%s%s", args, got, code, want, out, errOut)
		}
	}
	run(app.ExitUsage, "takes one image")
	run(app.ExitFailed, `has no image "apps/hello:v3"`, "apps/hello:v3")
	inUse.References = []string{"apps/hello:v1"}
	run(app.ExitFailed, "is in use", "apps/hello:v1")
	run(app.ExitFine, "Removed apps/hello:v2", host+"/apps/hello:v2")
	run(app.ExitFailed, "is in use", "apps/hello@"+digest)
	inUse.References, inUse.Digests = nil, []string{digest}
	run(app.ExitFailed, "is in use", "apps/hello:v1")
	run(app.ExitFine, "Removed apps/hello@"+digest, "--force", "apps/hello:v1")
	if lines := strings.Count(out.String(), "Removed "); lines != 2 {
		t.Errorf("it removed %d things, want the image and its source:\n%s", lines, out)
	}
	listing, err := registry.List(t.Context(), host)
	if err != nil || len(listing.Images) != 0 {
		t.Errorf("left: %+v, %v", listing, err)
	}
}

func TestRegistryRemoveWithoutACluster(t *testing.T) {
	d, _, errOut, _ := testDeps(t)
	withRegistry(t, d, nil)
	if code := app.RunWith(t.Context(), d, []string{"registry", "rm", "apps/hello:v1"}); code != app.ExitFailed || !strings.Contains(errOut.String(), "the cluster is away") || !strings.Contains(errOut.String(), "--force") {
		t.Errorf("exit code %d:\n%s", code, errOut)
	}
}

func TestRegistryCollect(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	var got collect.Options
	d.Collect = func(_ context.Context, _ environment.Name, o collect.Options) (*collect.Report, error) {
		got = o
		return &collect.Report{
			Registry: contents.SweepResult{Removed: []contents.Image{{Repository: "apps/a", Digest: "sha256:1", Pushed: time.Now().Add(-90 * time.Minute)}}, Freed: 1 << 20, Used: 3 << 30},
			Engine:   collect.Place{Removed: []string{"slipway.dev/slipwayd:old"}, Freed: 1 << 20}, Node: collect.Place{Removed: []string{}},
		}, nil
	}
	for _, test := range []struct {
		args string
		want collect.Options
		says string
	}{
		{"", collect.Options{Budget: 5 << 30, Grace: 5 * time.Minute}, "Removed registry: apps/a@sha256:1, pushed 1h ago\nRemoved engine: slipway.dev/slipwayd:old\nFreed 2MiB; now registry 3GiB, engine 0B, node 0B\n"},
		{"--disk-budget 500MB --older-than 0s --dry-run", collect.Options{Budget: 500 << 20, DryRun: true}, "Would remove registry: apps/a"},
		{"--disk-budget 0", collect.Options{Grace: 5 * time.Minute}, "Freed 2MiB"},
		{"-o json", collect.Options{Budget: 5 << 30, Grace: 5 * time.Minute}, `"freed": 1048576`},
	} {
		out.Reset()
		if code := app.RunWith(t.Context(), d, append([]string{"registry", "gc"}, strings.Fields(test.args)...)); code != app.ExitFine || !strings.Contains(out.String(), test.says) {
			t.Errorf("gc %s: exit code %d, want %q in:\n%s%s", test.args, code, test.says, out, errOut)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported()); diff != "" {
			t.Errorf("gc %s (-want +got):\n%s", test.args, diff)
		}
	}
	for _, args := range []string{"--disk-budget=-1", "--disk-budget=much", "--older-than=-1s", "extra"} {
		if code := app.RunWith(t.Context(), d, []string{"registry", "gc", args}); code != app.ExitUsage {
			t.Errorf("gc %s: exit code %d, want %d", args, code, app.ExitUsage)
		}
	}
}
