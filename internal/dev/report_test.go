package dev

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/ui"
)

func TestReportFiles(t *testing.T) {
	r := Report{
		Run: 2, Cause: []string{"main.go"}, Namespace: "default", Workload: "hello", Digest: newDigest, Started: time.Unix(0, 0).UTC(),
		Seconds: 1.5, Status: Failed, Error: "it crashed",
		Stages: []StageReport{
			{Name: "build", Title: "Build .", Status: Passed, Seconds: 0.5},
			{Name: "pod", Title: "Pod", Status: Failed, Seconds: 1, Detail: "it crashed; its last lines:\n  panic: <no> anchor & no \x1b rope"},
			{Name: "service", Title: "Service", Status: Skipped},
		},
	}
	for _, names := range [][3]string{{"r.xml", "r.xml", "r.json"}, {"deep/r.json", "deep/r.xml", "deep/r.json"}, {"r", "r", "r.json"}} {
		dir := t.TempDir()
		if err := writeReports(filepath.Join(dir, names[0]), []Report{r}); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, names[1]))
		if err != nil {
			t.Fatal(err)
		}
		var suite junitSuite
		if err := xml.Unmarshal(content, &suite); err != nil {
			t.Fatalf("%v\n%s", err, content)
		}
		if suite.Tests != 3 || suite.Failures != 1 || suite.Skipped != 1 || suite.Cases[1].Failure.Message != "it crashed" {
			t.Errorf("JUnit: %s", content)
		}
		if content, err = os.ReadFile(filepath.Join(dir, names[2])); err != nil {
			t.Fatal(err)
		}
		var again Report
		if err := json.Unmarshal(content, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmpopts.IgnoreUnexported(Report{})); diff != "" {
			t.Errorf("JSON (-want +got):\n%s", diff)
		}
	}
}

func TestRecord(t *testing.T) {
	screen := &ui.Recorder{}
	r := newRecord(screen, 1, nil)
	r.start(t.Context(), "build", "Build").done("sha256:1")
	_ = r.start(t.Context(), "image", "Image")
	deployment := r.start(t.Context(), "deployment", "Deployment")
	deployment.update("not yet")
	err := &ChainError{Stage: "deployment", Message: "it is stuck", Log: "  panic"}
	r.failWhere(t.Context(), err)
	report := r.finish(err)
	want := []StageReport{
		{Name: "build", Title: "Build", Status: Passed, Detail: "sha256:1"},
		{Name: "image", Title: "Image", Status: Skipped},
		{Name: "deployment", Title: "Deployment", Status: Failed, Detail: "stage deployment: it is stuck; its last lines:\n  panic"},
	}
	if diff := cmp.Diff(want, report.Stages, cmpopts.IgnoreFields(StageReport{}, "Seconds")); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	shown := []string{"start build", "done build: sha256:1", "start image", "start deployment", "update deployment: not yet", "fail deployment: it is stuck", "skip image: not reached"}
	if diff := cmp.Diff(shown, screen.Summary()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

func TestInOneLine(t *testing.T) {
	err := inOneLine(&build.SourceError{Command: "go build .", Output: "# hello\n./main.go:3:1: syntax error\nmore"})
	if err.Error() != "./main.go:3:1: syntax error" {
		t.Errorf("got %q", err)
	}
	if plain := errors.New("x"); inOneLine(plain) != plain { //nolint:errorlint // the very same
		t.Error("another error was changed")
	}
}

func TestReportOfSeveralApps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.xml")
	reports := []Report{
		{Run: 1, Workload: "front", Seconds: 1, Status: Passed, Stages: []StageReport{{Name: "build", Status: Passed}}},
		{Run: 1, Workload: "back", Seconds: 3, Status: Failed, Stages: []StageReport{{Name: "build", Status: Failed, Detail: "no"}}},
	}
	if err := writeReports(file, reports); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(content, &suites); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	if len(suites.Suites) != 2 || suites.Tests != 2 || suites.Failures != 1 || suites.Time != 3 || suites.Suites[1].Name != "slipway dev back" {
		t.Errorf("JUnit: %s", content)
	}
	if content, err = os.ReadFile(jsonName(file)); err != nil {
		t.Fatal(err)
	}
	var all Reports
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Reports{Status: Failed, Apps: reports}, all, cmpopts.IgnoreUnexported(Report{})); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
