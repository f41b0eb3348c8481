package templatetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs each testdata/*.txtar: a tree of folders, and in the file results what Run says of it.
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
			root := t.TempDir()
			want := -1
			for i, f := range archive.Files {
				if f.Name == "results" {
					want = i
					continue
				}
				path := filepath.Join(root, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.TrimSpace(strings.ReplaceAll(resultsOf(t, root), root, "ROOT"))
			if *update {
				archive.Files[want].Data = []byte(got + "\n")
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.TrimSpace(string(archive.Files[want].Data)), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func resultsOf(t *testing.T, root string) string {
	t.Helper()
	results, err := Run(t.Context(), root)
	if err != nil {
		return "error: " + err.Error()
	}
	var all strings.Builder
	for _, result := range results {
		verdict := "pass"
		if result.Err != nil {
			verdict = result.Err.Error()
		}
		fmt.Fprintf(&all, "%s [%s] focused=%t: %s\n", result.Dir, result.Name, result.Focused, verdict)
	}
	return all.String()
}
