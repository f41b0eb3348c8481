package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestNoScratchFolder: what is wrong with the controller's own disk is said in the same words each time, and so written once.
func TestNoScratchFolder(t *testing.T) {
	w := newWorld(t, fromGit(nil))
	w.commit(w.repo("app"), map[string]string{"a": "b"})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", file)
	first, _ := w.reconcile()
	w.want(first, metav1.ConditionFalse, v1alpha1.ReasonStorageFailed, "The controller's scratch folder: not a directory. It is tried again by itself.")
	if second, _ := w.reconcile(); second.ResourceVersion != first.ResourceVersion {
		t.Errorf("the status was written again: %+v", second.Status.Conditions)
	}
}

// TestLongMessage: a server may say more than a status may hold.
func TestLongMessage(t *testing.T) {
	source := fromGit(nil)
	w := newWorld(t, source)
	if err := w.publish(t.Context(), source, nil, failed(v1alpha1.ReasonUnreachable, "%s", strings.Repeat("x", 40_000))); err != nil {
		t.Fatal(err)
	}
	if said := source.Status.Conditions[0].Message; len(said) > 32768 {
		t.Errorf("the message has %d bytes", len(said))
	}
}
