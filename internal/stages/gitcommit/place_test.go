package gitcommit

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestFoldersOfOthers: a commit replaces its folder, so in a shared repository it has none that holds other workloads'.
func TestFoldersOfOthers(t *testing.T) {
	shared := v1alpha1.GitTarget{ServerAddress: "http://git", RepositoryOwner: "slipway", RepositoryName: "config"}
	own := v1alpha1.GitTarget{Repository: "http://git/team/shop.git"}
	for _, test := range []struct {
		git     v1alpha1.GitTarget
		path    string
		want    string // "" when it is refused
		message string
	}{
		{git: shared, want: "config/team/shop"},
		{git: shared, path: "config/team/shop", want: "config/team/shop"},
		{git: shared, path: "config/team/shop/staging", want: "config/team/shop/staging"},
		{git: shared, path: "environments/staging", want: "environments/staging"},
		{git: shared, path: "configuration", want: "configuration"},
		{git: shared, path: "config", message: `gitops_sub_path) is "config", which holds the files of other workloads`},
		{git: shared, path: "config/team", message: `is "config/team", which holds`},
		{git: shared, path: "config/team/shop2", message: `leave it empty for "config/team/shop"`},
		{git: shared, path: "config/other/shop", message: `is "config/other/shop", which holds`},
		{git: shared, path: ".", message: "no path inside of a repository"},
		{git: own, want: "config"},
		{git: own, path: "config/team", want: "config/team"},
	} {
		commit := &v1alpha1.GitCommit{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop"},
			Spec: v1alpha1.GitCommitSpec{Path: test.path, Git: test.git, Files: map[string]string{"delivery.yml": "a"}}}
		got, err := placeOf(commit)
		if test.want != "" {
			if err != nil || got.Path != test.want {
				t.Errorf("path %q: %q, %v; want %q", test.path, got.Path, err, test.want)
			}
			continue
		}
		problem, is := errors.AsType[*failure](err)
		if !is || problem.reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(problem.message, test.message) {
			t.Errorf("path %q: %v, want it refused with %q", test.path, err, test.message)
		}
	}
}
