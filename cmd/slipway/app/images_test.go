package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/cmd/slipway/app"
)

func TestImages(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	d.RequiredImages = func(context.Context) ([]bootstrap.RequiredImage, error) {
		return []bootstrap.RequiredImage{{Name: "kindest/node:v1", For: "the kind cluster's node", InEngine: true}, {Name: "quay.io/x:1", For: "cert-manager"}}, nil
	}
	d.SaveImages = func(_ context.Context, o bootstrap.SaveOptions) ([]bundle.Image, error) {
		writer, err := bundle.Create(o.Dir)
		if err != nil {
			return nil, err
		}
		for _, name := range append([]string{"kindest/node:v1"}, o.More...) {
			o.Progress.Start(name, name).Done("pulled")
			image, err := random.Image(100, 1)
			if err != nil {
				return nil, err
			}
			if err := writer.Add(name, name, image); err != nil {
				return nil, err
			}
		}
		return make([]bundle.Image, 1+len(o.More)), writer.Close()
	}
	dir := t.TempDir()
	for _, test := range []struct {
		args  []string
		code  int
		wants []string
	}{
		{[]string{"ls"}, app.ExitFine, []string{"kindest/node:v1", "yes", "quay.io/x:1", "no", "cert-manager"}},
		{[]string{"ls", "-o", "json"}, app.ExitFine, []string{`"inEngine": true`}},
		{[]string{"ls", dir}, app.ExitFailed, []string{"reading the images in", "slipway images save"}},
		{[]string{"save"}, app.ExitUsage, []string{"takes a folder"}},
		{[]string{"save", dir, "alpine:3"}, app.ExitFine, []string{"2 images are in", "slipway up --images " + dir}},
		{[]string{"ls", dir}, app.ExitFine, []string{"kindest/node:v1", "alpine:3", "sha256:"}},
		{[]string{"ls", dir, "other"}, app.ExitUsage, []string{"takes one folder"}},
	} {
		out.Reset()
		errOut.Reset()
		code := app.RunWith(t.Context(), d, slices.Concat([]string{"images"}, test.args))
		if code != test.code {
			t.Errorf("images %q: exit code %d, want %d", test.args, code, test.code)
		}
		for _, want := range test.wants {
			if !strings.Contains(out.String()+errOut.String(), want) {
				t.Errorf("images %q does not print %q:\n%s%s", test.args, want, out, errOut)
			}
		}
	}
}
