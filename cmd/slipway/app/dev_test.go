package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway.dev/slipway/internal/dev"
)

// What an app's slipway.yaml says reaches the loop, and flags win over it.
func TestDevReadsTheAppsFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "slipway.yaml")
	content := "apiVersion: slipway.dev/v1alpha1\nkind: App\nworkload: deploy/app.yaml\nports: [9000, \"8081:8080\"]\nignore: [notes]\nbuild: {command: {run: [make], output: out}}\n"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := (&DevOptions{}).app(dir)
	if err != nil {
		if strings.Contains(err.Error(), "built without") {
			t.Skip("this checkout has no upstream files: make upstream")
		}
		t.Fatal(err)
	}
	want := dev.App{
		Dir: dir, WorkloadFile: filepath.Join(dir, "deploy", "app.yaml"), Ports: []int32{9000, 8080}, LocalPorts: map[int32]int{8080: 8081},
		Ignore: []string{filepath.Join(dir, "notes"), filepath.Join(dir, "out")},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(dev.App{}, "Builder")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err = (&DevOptions{File: "mine.yaml"}).app(dir); err != nil || got.WorkloadFile != "mine.yaml" {
		t.Errorf("with --file the workload is %s: %v", got.WorkloadFile, err)
	}
	if err := os.WriteFile(file, []byte("kind: Other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (&DevOptions{}).app(dir); err == nil || !strings.Contains(err.Error(), "slipway.yaml:1: kind") {
		t.Errorf("a wrong file: %v", err)
	}
}
