package choose_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func detect(t *testing.T, dir, main string) (choose.Choice, error) {
	t.Helper()
	app, err := appfile.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := tree.NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Read(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return choose.Detect(app, files, amd64, main)
}

func TestDetect(t *testing.T) {
	const (
		module = "-- go.mod --\nmodule m\n\ngo 1.24\n"
		top    = "-- main.go --\npackage main\n\nfunc main() {}\n"
		below  = "-- cmd/a/main.go --\npackage main\n\nfunc main() {}\n"
		file   = "-- Dockerfile --\nFROM scratch\n"
		page   = "-- index.html --\n"
		said   = "-- slipway.yaml --\napiVersion: slipway.dev/v1alpha1\nkind: App\nbuild: {static: }\n"
	)
	tests := []struct{ name, source, main, want string }{
		{"go", module + top, "", "builder go: there is a Go program"},
		{"go below", module + below, "", "builder go: there is a Go program in ./cmd/a"},
		{"no module", top, "", ""},
		{"a library", module + "-- lib.go --\npackage m\n", "", ""},
		{"dockerfile", file, "", "builder dockerfile: there is a Dockerfile"},
		{"static", page, "", "builder static: there is index.html"},
		{"static in dist", "-- dist/index.html --\n", "", "builder static: there is dist/index.html"},
		{"all", file + module + top + page, "", "builder dockerfile: there is a Dockerfile (and there is a Go program, and there is index.html: `build` in slipway.yaml chooses)"},
		{"said", file + module + top + page + said, "", "builder static: slipway.yaml says so"},
		{"a main package", file + module + below, "./cmd/a", "builder go: its main package is named"},
		{"ignored", file + "-- .gitignore --\nDockerfile\n", "", ""},
		{"nothing", "-- a.txt --\n", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			choice, err := detect(t, unpack(t, test.source), test.main)
			if test.want == "" {
				if !errors.Is(err, build.ErrNothingToBuild) || len(hint.Of(err)) == 0 {
					t.Errorf("got %v, %v", choice, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := choice.Explain(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	if _, err := detect(t, unpack(t, said+page), "./cmd/a"); err == nil || !strings.Contains(err.Error(), "static") {
		t.Errorf("a main package for a site: %v", err)
	}
}
