package fastlane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/appfile"
)

func no() *bool { b := false; return &b }

func TestSort(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"main.go", "templates/a/b.html", "config.json", "go.mod", "deploy/workload.yaml", "static/x.css", "templates/link"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "templates/link" {
			if err := os.Symlink(dir, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	templates := appfile.Sync{From: "templates/**", To: "/app/t"}
	static := appfile.Sync{From: "static/*", To: "/app/s", Restart: no()}
	program := appfile.Sync{Binary: true}
	own := ownFiles(&appfile.App{}, "deploy/workload.yaml")
	tests := []struct {
		name  string
		files []string
		rules []appfile.Sync
		want  plan
	}{
		{"the program", []string{"go.mod", "main.go"}, []appfile.Sync{program}, plan{build: true}},
		{"files", []string{"templates/a/b.html", "templates/gone"}, []appfile.Sync{templates},
			plan{files: map[string]string{"/app/t/a/b.html": "templates/a/b.html"}, removed: []string{"/app/t/gone"}, restart: true}},
		{"without a restart", []string{"static/x.css"}, []appfile.Sync{templates, static}, plan{files: map[string]string{"/app/s/x.css": "static/x.css"}}},
		{"both", []string{"main.go", "static/x.css"}, []appfile.Sync{static, program}, plan{build: true, files: map[string]string{"/app/s/x.css": "static/x.css"}}},
		{"no rule", []string{"config.json", "static/x.css"}, []appfile.Sync{static}, plan{why: "no sync rule is for config.json"}},
		{"the workload", []string{"deploy/workload.yaml", "main.go"}, []appfile.Sync{program}, plan{why: "deploy/workload.yaml changed"}},
		{"the workload, elsewhere", []string{"../workload.yaml"}, []appfile.Sync{program}, plan{why: "../workload.yaml changed"}},
		{"slipway.yaml", []string{"slipway.yaml"}, []appfile.Sync{program}, plan{why: "slipway.yaml changed"}},
		{"a Dockerfile", []string{"Dockerfile"}, []appfile.Sync{program}, plan{why: "Dockerfile changed"}},
		{"ignore rules", []string{"sub/.gitignore"}, []appfile.Sync{program}, plan{why: "sub/.gitignore changed"}},
		{"a link to a folder", []string{"templates/link"}, []appfile.Sync{templates}, plan{why: "templates/link is no regular file", restart: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want.files == nil {
				test.want.files = map[string]string{}
			}
			got := sort(dir, test.files, test.rules, own)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(plan{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOwnDockerfile(t *testing.T) {
	app := &appfile.App{Workload: "w.yaml", Build: appfile.Build{Dockerfile: &appfile.Dockerfile{Context: "server"}}}
	want := []string{"slipway.yaml", "", "w.yaml", "server/Dockerfile", "Dockerfile"}
	if diff := cmp.Diff(want, ownFiles(app, "")); diff != "" {
		t.Error(diff)
	}
}

func TestFolders(t *testing.T) {
	rules := func(folders ...string) (list []appfile.Sync) {
		for _, folder := range folders {
			list = append(list, appfile.Sync{From: "x", To: folder})
		}
		return append(list, appfile.Sync{Binary: true})
	}
	got, err := folders(rules("/app/data/deep", "/srv/", "/app/data", "/app/database", "/srv"))
	if diff := cmp.Diff([]string{"/app/data", "/app/database", "/srv"}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, folder := range []string{"/", "/proc", "/dev/shm", "/slipway/files"} {
		if _, err := folders(rules(folder)); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v, want a refusal", folder, err)
		}
	}
}
