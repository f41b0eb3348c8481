package appfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/hint"
)

const head = "apiVersion: slipway.dev/v1alpha1\nkind: App\n"

func parse(t *testing.T, content string) *appfile.App {
	t.Helper()
	app, err := appfile.Parse("slipway.yaml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestParse(t *testing.T) {
	no := false
	got := parse(t, head+`
workload: deploy/workload.yaml
build:
  go:
    main: ./cmd/server
    tags: [lantern]
    ldflags: [-s, -w, "-X main.version=1.2"]
    flags: [-gcflags=-N]
    env: {GOEXPERIMENT: jsonv2, N: 1}
    base: ./base
    assets: static
ports: [8080, "9090:8081"]
sync:
  - {from: "templates/**", to: /app/templates, restart: false}
  - binary: true
ignore: [log]
`)
	want := &appfile.App{
		APIVersion: appfile.APIVersion, Kind: appfile.Kind, Workload: "deploy/workload.yaml",
		Build: appfile.Build{Go: &appfile.Go{
			Main: "./cmd/server", Tags: []string{"lantern"}, LDFlags: []string{"-s", "-w", "-X main.version=1.2"},
			Flags: []string{"-gcflags=-N"}, Env: map[string]string{"GOEXPERIMENT": "jsonv2", "N": "1"}, Base: "./base", Assets: "static",
		}},
		Ports:  []appfile.Port{{Container: 8080}, {Local: 9090, Container: 8081}},
		Sync:   []appfile.Sync{{From: "templates/**", To: "/app/templates", Restart: &no}, {Binary: true}},
		Ignore: []string{"log"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(appfile.App{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Sync[0].Restarts() || !got.Sync[1].Restarts() {
		t.Error("which rules restart the process is wrong")
	}
}

func TestBuildersWithTheirDefaults(t *testing.T) {
	for name, chosen := range map[string]func(appfile.Build) bool{
		"go":         func(b appfile.Build) bool { return b.Go != nil },
		"dockerfile": func(b appfile.Build) bool { return b.Dockerfile != nil },
		"static":     func(b appfile.Build) bool { return b.Static != nil },
	} {
		for _, empty := range []string{"", " {}"} {
			if app := parse(t, head+"build:\n  "+name+":"+empty+"\n"); !chosen(app.Build) {
				t.Errorf("%s:%s does not choose the builder: %+v", name, empty, app.Build)
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"not YAML", "a: [", "slipway.yaml: yaml: line 1"},
		{"no document", "", "slipway.yaml: apiVersion: want slipway.dev/v1alpha1"},
		{"two documents", head + "---\n" + head, "a second document"},
		{"a list", "- a\n", "slipway.yaml:1: want fields, not a list"},
		{"another version", "apiVersion: slipway.dev/v9\nkind: App\n", "slipway.yaml:1: apiVersion: want"},
		{"another kind", "apiVersion: slipway.dev/v1alpha1\nkind: Application\n", "slipway.yaml:2: kind: want App"},
		{"unknown field", head + "biuld: {}\n", "slipway.yaml:3: biuld: there is no such field; there are apiVersion, kind, workload, build"},
		{"unknown field inside", head + "build:\n  go:\n    mian: .\n", "slipway.yaml:5: build.go.mian: there is no such field"},
		{"twice", head + "ports: [80]\nports: [81]\n", "slipway.yaml:4: ports: the field is there twice"},
		{"no value", head + "ports:\n", "slipway.yaml:3: ports: there is no value"},
		{"not a text", head + "workload: [a]\n", "slipway.yaml:3: workload: want a text, not a list"},
		{"a truth as text", head + "build: {dockerfile: {args: {DEBUG: true}}}\n", "build.dockerfile.args.DEBUG: want a text; put true in quotes"},
		{"not a truth", head + "build: {static: {spa: 1}}\n", `build.static.spa: want true or false, not "1"`},
		{"not a list", head + "ignore: a\n", `slipway.yaml:3: ignore: want a list, not "a"`},
		{"not names", head + "build: {go: {env: [a]}}\n", "build.go.env: want names and values, not a list"},
		{"two builders", head + "build:\n  go:\n  static:\n", "slipway.yaml:4: build: choose one builder, not go and static"},
		{"outside", head + "workload: ../workload.yaml\n", `slipway.yaml:3: workload: want a path inside this folder, with slashes, not "../workload.yaml"`},
		{"absolute", head + "build: {static: {folder: /srv}}\n", "build.static.folder: want a path inside"},
		{"a port too high", head + "ports: [70000]\n", `slipway.yaml:3: ports[0]: want a port from 1 to 65535, or LOCAL:CONTAINER, not "70000"`},
		{"a port twice", head + "ports:\n  - 80\n  - 80:81\n", "slipway.yaml:5: ports[1]: port 80 of this machine is for ports[0]"},
		{"sync to a relative path", head + "sync: [{from: a, to: b}]\n", `slipway.yaml:3: sync[0].to: want a path in the container, from the root, not "b"`},
		{"sync from nothing", head + "sync: [{to: /b}]\n", "sync[0]: want from and to, or binary: true"},
		{"sync half a glob", head + "sync: [{from: 'a/x**', to: /b}]\n", "sync[0].from: ** must stand alone"},
		{"sync the binary of a Dockerfile", head + "build: {dockerfile: {}}\nsync: [{binary: true}]\n", "only the Go builder"},
		{"a command of nothing", head + "build: {command: {}}\n", "build.command.run: want a program"},
		{"the source as output", head + "build: {command: {run: [make], output: ./}}\n", "build.command.output: want a path below"},
		{"a user by name", head + "build: {command: {run: [make], image: {user: bob}}}\n", "want a number"},
		{"a secret from nowhere", head + "build: {dockerfile: {secrets: [{id: a}]}}\n", "build.dockerfile.secrets[0]: want either file or env"},
		{"a secret twice", head + "build: {dockerfile: {secrets: [{id: a, env: A}, {id: a, env: B}]}}\n", `there is a secret "a" already`},
		{"another output", head + "build: {go: {flags: [-o=x]}}\n", "-o does not fit"},
		{"another platform", head + "build: {go: {env: {GOOS: plan9}}}\n", "build.go.env.GOOS: slipway sets it"},
		{"tags in one word", head + "build: {go: {tags: ['a,b']}}\n", "build.go.tags[0]: want one tag"},
		{"ignoring by a pattern", head + "ignore: ['*.log']\n", "ignore[0]: want a path in this folder"},
		{"ignoring everything", head + "ignore: ['']\n", "ignore[0]: want a path in this folder"},
		{"too long", head + strings.Repeat("#", 1<<20), "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := appfile.Parse("slipway.yaml", []byte(test.content))
			if err == nil {
				t.Fatal("it was read")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllMistakesAtOnceWithAdvice(t *testing.T) {
	_, err := appfile.Parse("slipway.yaml", []byte(head+"a: 1\nb: 2\n"))
	if err == nil || strings.Count(err.Error(), "no such field") != 2 {
		t.Errorf("got %v, want both mistakes", err)
	}
	if len(hint.Of(err)) == 0 {
		t.Error("there is no advice")
	}
	problem := (*appfile.Problem)(nil)
	if !errors.As(err, &problem) || problem.Line != 3 || problem.Field != "a" {
		t.Errorf("got %+v, want the first problem", problem)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	app, err := appfile.Load(dir)
	if err != nil || app.Path() != "" || app.WorkloadFile() != "workload.yaml" || len(app.Ignored(dir)) != 0 {
		t.Errorf("without a file: %+v, %v", app, err)
	}
	file := filepath.Join(dir, appfile.Name)
	if err := os.WriteFile(file, []byte(head+"build: {command: {run: [make], output: out}}\nignore: [a]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if app, err = appfile.Load(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "a"), filepath.Join(dir, "out")}, app.Ignored(dir)); diff != "" || app.Path() != file {
		t.Errorf("read from %s; ignored (-want +got):\n%s", app.Path(), diff)
	}
	if err := os.Rename(file, filepath.Join(dir, "slipway.yml")); err != nil {
		t.Fatal(err)
	}
	if _, err := appfile.Load(dir); err == nil || !strings.Contains(strings.Join(hint.Of(err), ""), "rename") {
		t.Errorf("slipway.yml was passed over: %v", err)
	}
	if err := os.MkdirAll(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := appfile.Load(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder of that name: %v", err)
	}
}

func TestSyncTarget(t *testing.T) {
	tests := []struct{ from, to, file, want string }{
		{"templates/**", "/app/t", "templates/a/b.html", "/app/t/a/b.html"},
		{"templates/**", "/app/t", "other/a.html", ""},
		{"**/*.css", "/css", "a/b/c.css", "/css/a/b/c.css"},
		{"**/*.css", "/css", "c.css", "/css/c.css"},
		{"a/**/b/*.js", "/js", "a/x/y/b/z.js", "/js/x/y/b/z.js"},
		{"*.html", "/www/", "index.html", "/www/index.html"},
		{"*.html", "/www", "sub/index.html", ""},
		{"etc/app.conf", "/etc", "etc/app.conf", "/etc/app.conf"},
		{"etc/app.conf", "/etc", "etc/app", ""},
		{"templates", "/t", "templates/a", ""},
	}
	for _, test := range tests {
		rule := appfile.Sync{From: test.from, To: test.to}
		if got, ok := rule.Target(test.file); got != test.want || ok != (test.want != "") {
			t.Errorf("%s -> %s: %s goes to %q, want %q", test.from, test.to, test.file, got, test.want)
		}
	}
	if _, ok := (appfile.Sync{Binary: true}).Target("main.go"); ok {
		t.Error("a rule for the binary matches a file")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "build:\n  go: {main: ./cmd/server, env: {A: b}}\nports: [80, \"81:82\"]\nsync: [{from: 'a/**', to: /a}]\n"))
	f.Add([]byte(head + "build: &b {static: {spa: true}}\nignore: [*b]\n"))
	f.Add([]byte(head + "build: {command: {run: [a], image: {user: 1:2, path: /}}}\n"))
	f.Add([]byte(head + "build: {dockerfile: {secrets: [{id: a, env: A}]}}\n? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		app, err := appfile.Parse("slipway.yaml", content)
		if (app == nil) == (err == nil) {
			t.Fatalf("Parse gave %v and %v", app, err)
		}
		if err != nil {
			return
		}
		for _, rule := range app.Sync {
			if target, ok := rule.Target("a/b"); ok && !strings.HasPrefix(target, "/") {
				t.Errorf("%+v sends a/b to %q", rule, target)
			}
		}
		if !filepath.IsLocal(app.WorkloadFile()) {
			t.Errorf("the workload is %q", app.WorkloadFile())
		}
	})
}
