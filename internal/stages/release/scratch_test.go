package release

import (
	"os"
	"path/filepath"
	"testing"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestNoScratchFolder: what is wrong with the controller's own disk is said in the same words each time.
func TestNoScratchFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", file)
	for range 2 {
		_, err := (&reconciler{}).load(t.Context(), named("a", "1"))
		problem := problemOf(err)
		if want := "The controller's scratch folder: not a directory. It is tried again by itself."; problem.message != want || problem.reason != v1alpha1.ReasonStorageFailed {
			t.Errorf("%s: %q, want %q", problem.reason, problem.message, want)
		}
	}
}
