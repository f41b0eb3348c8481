package gobinary_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
)

// talkative says at run time what it was built with.
const talkative = `
-- go.mod --
module example.com/talkative

go 1.24
-- cmd/say/main.go --
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var version = "unset"

func main() {
	text, _ := os.ReadFile(filepath.Join(os.Getenv("KO_DATA_PATH"), "text"))
	fmt.Print(version, " ", lantern, " ", string(text))
}
-- cmd/say/off.go --
//go:build !lantern

package main

const lantern = "off"
-- cmd/say/on.go --
//go:build lantern

package main

const lantern = "on"
-- cmd/say/kodata/text --
beside
-- cmd/say/kodata/skipped.log --
not source
-- static/text --
declared
-- .gitignore --
*.log
broken.go
-- cmd/say/broken.go --
package main

const lantern = nonsense
`

func here() build.Request {
	return build.Request{Name: "say", Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
}

// run builds, and runs the program of the image with the assets of the image.
func run(t *testing.T, config appfile.Go, dir string) (said string, image v1.Image) {
	t.Helper()
	r := here()
	r.Dir = dir
	built, err := newBuilderOf(t, config).Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, content := range filesOf(t, built.Image) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config2, err := built.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, config2.Config.Entrypoint[0]))
	for _, entry := range config2.Config.Env {
		if path, is := strings.CutPrefix(entry, "KO_DATA_PATH="); is {
			cmd.Env = append(cmd.Env, "KO_DATA_PATH="+filepath.Join(root, path))
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out)), built.Image
}

func filesOf(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	stream := mutate.Extract(image)
	defer stream.Close()
	files := map[string][]byte{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if files[header.Name], err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFlagsTagsAndAssets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the program of the image runs on linux alone")
	}
	dir := unpack(t, talkative)
	tests := []struct {
		name   string
		config appfile.Go
		want   string
	}{
		{"found out", appfile.Go{}, "unset off beside"},
		{"linker and tags", appfile.Go{Main: "cmd/say", LDFlags: []string{"-s", "-w", "-X main.version=2"}, Tags: []string{"lantern"}}, "2 on beside"},
		{"flags", appfile.Go{Flags: []string{"-gcflags=-N"}, Base: "scratch"}, "unset off beside"},
		{"environment", appfile.Go{Env: map[string]string{"GOFLAGS": "-tags=lantern"}}, "unset on beside"},
		{"a declared folder", appfile.Go{Assets: "static"}, "unset off declared"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, image := run(t, test.config, dir)
			if got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
			if _, there := filesOf(t, image)["var/run/ko/skipped.log"]; there {
				t.Error("a file that git ignores is in the image")
			}
		})
	}
	r := here()
	r.Dir = dir
	_, err := newBuilderOf(t, appfile.Go{Assets: "none"}).Build(t.Context(), r)
	if err == nil || !strings.Contains(err.Error(), "none, has no source file") || len(hint.Of(err)) == 0 {
		t.Errorf("a folder of assets that is not there: %v", err)
	}
}

// Where the compiler misses a file that git ignores, the error says how to have it.
func TestIgnoredFileIsMissed(t *testing.T) {
	r := here()
	r.Dir = unpack(t, hello+"-- .gitignore --\nmain.go\n-- other.go --\npackage main\n\nfunc main() { helper() }\n")
	_, err := newBuilderOf(t, appfile.Go{}).Build(t.Context(), r)
	wrong := (*build.SourceError)(nil)
	if !errors.As(err, &wrong) || !strings.Contains(strings.Join(hint.Of(err), ""), ".slipwayignore") {
		t.Errorf("got %v with the hints %q", err, hint.Of(err))
	}
}

// Of two builds, one with another text in the assets, all layers but that one are the same.
func TestLayersAreByContent(t *testing.T) {
	digests := func(text string) []string {
		r := here()
		r.Dir = unpack(t, strings.Replace(talkative, "beside", text, 1))
		built, err := newBuilderOf(t, appfile.Go{}).Build(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := built.Image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, layer := range layers {
			digest, err := layer.Digest()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, digest.String())
		}
		return out
	}
	one, two := digests("one"), digests("two")
	if len(one) != 3 || one[0] != two[0] || one[1] == two[1] || one[2] != two[2] {
		t.Errorf("the layers are %v and %v: want base, assets, program, and only the assets to differ", one, two)
	}
}

func TestBillOfMaterials(t *testing.T) {
	dependency := unpack(t, "-- go.mod --\nmodule example.com/dep\n\ngo 1.24\n-- dep.go --\npackage dep\n\nconst Word = \"word\"\n")
	dir := unpack(t, "-- go.mod --\nmodule example.com/main\n\ngo 1.24\n\nrequire example.com/dep v1.2.3\n\nreplace example.com/dep v1.2.3 => ./dep\n"+
		"-- main.go --\npackage main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Word) }\n")
	if err := os.CopyFS(filepath.Join(dir, "dep"), os.DirFS(dependency)); err != nil {
		t.Fatal(err)
	}
	r := here()
	r.Dir = dir
	built, err := newBuilderOf(t, appfile.Go{}).Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(built.Evidence) != 1 || built.Evidence[0].MediaType != "application/spdx+json" {
		t.Fatalf("the evidence is %+v", built.Evidence)
	}
	var document struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct {
			ID   string `json:"SPDXID"`
			Name string `json:"name"`
		} `json:"packages"`
		Relationships []struct {
			From string `json:"spdxElementId"`
			To   string `json:"relatedSpdxElement"`
		} `json:"relationships"`
	}
	if err := json.Unmarshal(built.Evidence[0].Content, &document); err != nil {
		t.Fatal(err)
	}
	ids := []string{"SPDXRef-DOCUMENT"}
	var names []string
	for _, p := range document.Packages {
		if slices.Contains(ids, p.ID) {
			t.Errorf("two packages are %s", p.ID)
		}
		ids, names = append(ids, p.ID), append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"say", "example.com/main", "example.com/dep", "stdlib"}, names); diff != "" || document.SPDXVersion != "SPDX-2.3" {
		t.Errorf("version %s, packages (-want +got):\n%s", document.SPDXVersion, diff)
	}
	for _, one := range document.Relationships {
		if !slices.Contains(ids, one.From) || !slices.Contains(ids, one.To) {
			t.Errorf("%+v leads nowhere", one)
		}
	}
}
