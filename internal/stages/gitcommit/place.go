package gitcommit

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
)

// The values that parameters have which are not set.
const (
	defaultBranch = "main"
	defaultName   = "supplychain"
	defaultEmail  = "supplychain@cluster.local"
	sharedFolder  = "config" // of all workloads; of a repository that is one workload's alone, its folder
	workloadLabel = "carto.run/workload-name"
)

// place is where a GitCommit's files are to be.
type place struct {
	URL    string // of a repository; "" means Bundle
	Branch string
	Path   string
	Bundle string
}

// digest tells a place with files apart from all others.
func (p place) digest(files map[string]string) string {
	content, err := json.Marshal(struct { // maps are marshalled in the order of their keys
		Place place
		Files map[string]string
	}{p, files})
	if err != nil {
		panic(err) // strings alone
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

func workloadOf(commit *v1alpha1.GitCommit) string {
	switch {
	case commit.Spec.Workload != "":
		return commit.Spec.Workload
	case commit.Labels[workloadLabel] != "":
		return commit.Labels[workloadLabel]
	}
	return commit.Name
}

// placeOf is where the spec says that the files are to be; an error is a *failure.
func placeOf(commit *v1alpha1.GitCommit) (place, error) {
	spec, git := commit.Spec, commit.Spec.Git
	where := place{Branch: git.Branch, Path: spec.Path}
	if where.Branch == "" {
		where.Branch = defaultBranch
	}
	folder := sharedFolder
	complete, missing := together(git)
	switch {
	case complete:
		where.URL = repositoryURL(git)
		folder = path.Join(sharedFolder, commit.Namespace, workloadOf(commit))
	case missing != nil:
		return place{}, missing
	case git.Repository != "":
		where.URL = git.Repository
	case git.RepositoryPrefix != "":
		where.URL = git.RepositoryPrefix + workloadOf(commit) + ".git"
	case spec.Bundle != "":
		return place{Bundle: spec.Bundle}, checkFiles(spec.Files)
	default:
		return place{}, settled(v1alpha1.ReasonMissingParameters, "Neither a git repository nor a bundle is given: set spec.git.serverAddress, repositoryOwner and repositoryName "+
			"(the parameters gitops_server_address, gitops_repository_owner and gitops_repository_name), or spec.bundle.")
	}
	if where.Path == "" {
		where.Path = folder
	}
	if !strings.HasPrefix(where.URL, "http://") && !strings.HasPrefix(where.URL, "https://") && !strings.HasPrefix(where.URL, "ssh://") {
		return place{}, settled(v1alpha1.ReasonInvalidSpec, "%q is not the URL of a repository: it begins with https://, http:// or ssh://.", where.URL)
	}
	if err := plumbing.NewBranchReferenceName(where.Branch).Validate(); err != nil {
		return place{}, settled(v1alpha1.ReasonInvalidSpec, "%q is not the name of a branch: %v.", where.Branch, err)
	}
	if err := gitclient.CheckPath(where.Path); err != nil {
		return place{}, settled(v1alpha1.ReasonInvalidSpec, "spec.path: %v.", err)
	}
	if complete && within(where.Path, sharedFolder) && !within(where.Path, folder) {
		return place{}, settled(v1alpha1.ReasonInvalidSpec, "spec.path (the parameter gitops_sub_path) is %q, which holds the files of other workloads, and a commit would replace them: "+
			"leave it empty for %q, or name a folder in that or outside of %q.", where.Path, folder, sharedFolder)
	}
	return where, checkFiles(spec.Files)
}

// within says whether a path is a folder's or below it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func checkFiles(files map[string]string) error {
	for name := range files {
		if err := gitclient.CheckPath(name); err != nil {
			return settled(v1alpha1.ReasonInvalidSpec, "spec.files: %v.", err)
		}
	}
	return nil
}

// together looks at the three parameters that make a URL. Some of them and not the others is a mistake that must not
// end in another place than was meant.
func together(git v1alpha1.GitTarget) (complete bool, missing error) {
	var set, unset []string
	for _, one := range []struct{ name, value string }{
		{"gitops_server_address", git.ServerAddress}, {"gitops_repository_owner", git.RepositoryOwner}, {"gitops_repository_name", git.RepositoryName},
	} {
		if one.value == "" {
			unset = append(unset, one.name)
		} else {
			set = append(set, one.name)
		}
	}
	switch {
	case len(unset) == 0:
		return true, nil
	case len(set) == 0:
		return false, nil
	}
	return false, settled(v1alpha1.ReasonMissingParameters, "missing parameter: %s is set, but not %s. Set all three, or none to push to a registry instead.",
		strings.Join(set, " and "), strings.Join(unset, " and "))
}

func repositoryURL(git v1alpha1.GitTarget) string {
	address := strings.TrimSuffix(git.ServerAddress, "/") + "/" + strings.Trim(git.RepositoryOwner, "/")
	if git.ServerKind == "azure" {
		return address + "/_git/" + git.RepositoryName
	}
	return address + "/" + strings.TrimSuffix(git.RepositoryName, ".git") + ".git"
}
