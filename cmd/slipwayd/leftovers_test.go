package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// TestLeftovers: a controller that starts removes what one before it has left, before it reaches for the cluster, and
// nothing else.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("KUBECONFIG", filepath.Join(dir, "missing"))
	for _, name := range []string{"slipway-source-1/objects", "slipway-commit-2", "slipway-release-3/a", "slipway-build-4", "slipway-source", "other/slipway-source-5"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "file"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := runController(t.Context(), &cobra.Command{}, controllerOptions{logLevel: "error"}); err == nil {
		t.Fatal("it runs without a cluster")
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{"other", "slipway-build-4", "slipway-source"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "other/slipway-source-5/file")); err != nil {
		t.Error(err)
	}
}
