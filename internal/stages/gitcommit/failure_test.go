package gitcommit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

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
		_, err := os.MkdirTemp("", "slipway-commit-")
		problem := asFailure(err, place{URL: "http://git/a.git"})
		if want := "The controller's scratch folder: not a directory. It is tried again by itself."; problem.message != want || problem.reason != v1alpha1.ReasonStorageFailed {
			t.Errorf("%s: %q, want %q", problem.reason, problem.message, want)
		}
	}
}

// TestLongMessage: a server may say more than a status may hold.
func TestLongMessage(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	commit := &v1alpha1.GitCommit{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop"}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(commit).WithStatusSubresource(commit).Build()
	r := newReconciler(cluster, cluster, Options{})
	if err := r.publish(t.Context(), commit, v1alpha1.GitCommitStatus{}, failed(v1alpha1.ReasonRefused, "%s", strings.Repeat("x", 40_000))); err != nil {
		t.Fatal(err)
	}
	if said := commit.Status.Conditions[0].Message; len(said) > 32768 {
		t.Errorf("the message has %d bytes", len(said))
	}
}
