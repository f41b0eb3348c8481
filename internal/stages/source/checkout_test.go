package source

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestModulesAreReadWhenWanted: what .gitmodules holds is nobody's business where submodules are not unpacked, and where
// they are a huge one is refused.
func TestModulesAreReadWhenWanted(t *testing.T) {
	comments := strings.Repeat("# nothing\n", (maxModulesFile+10)/10)
	for name, test := range map[string]struct {
		modules string
		recurse bool
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"broken, not wanted": {"[submodule", false, metav1.ConditionTrue, v1alpha1.ReasonStored, ""},
		"broken, wanted":     {"[submodule", true, metav1.ConditionFalse, v1alpha1.ReasonUnpackable, "cannot be read"},
		"huge, not wanted":   {comments, false, metav1.ConditionTrue, v1alpha1.ReasonStored, ""},
		"huge, wanted":       {comments, true, metav1.ConditionFalse, v1alpha1.ReasonUnpackable, ".gitmodules of more than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.Git.RecurseSubmodules = test.recurse }))
			w.commit(w.repo("app"), map[string]string{".gitmodules": test.modules, "a": "b"})
			source, _ := w.reconcile()
			w.want(source, test.status, test.reason, test.message)
		})
	}
}

// TestLongSymlink: git stores as the target of one what no disk takes.
func TestLongSymlink(t *testing.T) {
	for length, want := range map[int]struct {
		status metav1.ConditionStatus
		reason string
	}{
		maxTarget:     {metav1.ConditionTrue, v1alpha1.ReasonStored},
		maxTarget + 1: {metav1.ConditionFalse, v1alpha1.ReasonUnpackable},
	} {
		w := newWorld(t, fromGit(nil))
		dir := w.repo("app")
		w.commit(dir, map[string]string{"target": strings.Repeat("x", length)})
		w.run(dir, "update-index", "--add", "--cacheinfo", "120000,"+w.run(dir, "hash-object", "target")+",link")
		w.run(dir, "commit", "-q", "-m", "a link")
		source, _ := w.reconcile()
		w.want(source, want.status, want.reason, "")
	}
}
