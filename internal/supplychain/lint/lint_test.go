package lint

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/embedded"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs each testdata/*.txtar: files, and in findings what is found in them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			last := len(archive.Files) - 1
			var sources []Source
			for _, f := range archive.Files[:last] {
				sources = append(sources, Source{Name: f.Name, Data: f.Data})
			}
			got := reportOf(t, sources)
			if *update {
				archive.Files[last].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[last].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func reportOf(t *testing.T, sources []Source) string {
	t.Helper()
	report, err := Check(sources)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range report.Findings {
		fmt.Fprintf(&all, "%s:%d: %s: %s: %s\n", f.File, f.Line, f.Level, f.Object, f.Message)
	}
	fmt.Fprintf(&all, "objects: %d\n", report.Objects)
	return all.String()
}

// TestOurOwn: what slipway installs has no mistakes.
func TestOurOwn(t *testing.T) {
	files, err := embedded.Templates("basic")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	var sources []Source
	for i, file := range files {
		sources = append(sources, Source{Name: fmt.Sprintf("basic %d", i), Data: file})
	}
	report, err := Check(sources)
	if err != nil {
		t.Fatal(err)
	}
	if report.Objects == 0 || len(report.Findings) > 0 {
		t.Errorf("%d objects, findings %+v", report.Objects, report.Findings)
	}
}

func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			f.Add(part.Data)
		}
	}
	schemas, err := readSchemas()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check([]Source{{Name: "x", Data: data}}, schemas)
	})
}
