package source

import (
	"context"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/pull"
)

// fetched is a source that was unpacked into dir, or that nothing new was found.
type fetched struct {
	revision string
	same     bool   // it is what the artifact is of already
	dir      string // where its files are; "" when it is the same
}

// lookAtGit fetches what a reference means now, unless that is known already.
func (r *reconciler) lookAtGit(ctx context.Context, source *v1alpha1.Source, known, dir string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	repo, err := r.repository(ctx, source)
	if err != nil {
		return fetched{}, err
	}
	session, offered, err := repo.open(ctx)
	if err != nil {
		return fetched{}, err
	}
	defer session.Close()
	found, err := repo.resolve(offered, source.Spec.Git.Ref)
	if err != nil {
		return fetched{}, err
	}
	if found.revision == known {
		return fetched{revision: known, same: true}, nil
	}
	if err := r.refusals.check(source, found.revision); err != nil {
		return fetched{}, err
	}
	objects, files := filepath.Join(dir, "objects"), filepath.Join(dir, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return fetched{}, err
	}
	of, opened, err := repo.fetch(ctx, session, offered, found.hash, objects)
	if err != nil {
		r.refusals.keep(source, found.revision, err)
		return fetched{}, err
	}
	defer opened.Close()
	root, err := os.OpenRoot(files)
	if err != nil {
		return fetched{}, err
	}
	defer root.Close()
	budget := &budget{limits: r.limits}
	err = r.unpackCommit(ctx, repo, of, root, unpacking{dir: dir, budget: budget, modules: source.Spec.Git.RecurseSubmodules})
	r.refusals.keep(source, found.revision, err)
	return fetched{revision: found.revision, dir: files}, err
}

// unpacking is how far a commit with its submodules is unpacked.
type unpacking struct {
	dir     string // for objects
	prefix  string
	depth   int
	budget  *budget
	modules bool
}

// unpackCommit writes a commit's files, and those of its submodules where that is wanted.
func (r *reconciler) unpackCommit(ctx context.Context, repo repository, of *object.Commit, root *os.Root, u unpacking) error {
	var urls map[string]string
	if u.modules {
		var err error
		if urls, err = modules(of); err != nil {
			return err
		}
	}
	return checkout(ctx, of, root, u.prefix, u.budget, func(name string, hash plumbing.Hash) error {
		if !u.modules {
			return nil
		}
		url := urls[strings.TrimPrefix(strings.TrimPrefix(name, u.prefix), "/")]
		if url == "" || u.depth == maxModules {
			return failed(v1alpha1.ReasonUnpackable, "The submodule %s of %s has no URL in .gitmodules, or is nested too deeply.", name, repo.url)
		}
		below := repository{url: moduleURL(repo.url, url), client: repo.client, limits: repo.limits, left: repo.left}
		if sameHost(below.url, repo.url) {
			below.auth = repo.auth // credentials are for the host that they were given for
		}
		session, offered, err := below.open(ctx)
		if err != nil {
			return err
		}
		defer session.Close()
		commit, opened, err := below.fetch(ctx, session, offered, hash, filepath.Join(u.dir, "modules", strings.ReplaceAll(name, "/", "_")))
		if err != nil {
			return err
		}
		defer opened.Close()
		next := u
		next.prefix, next.depth = name, u.depth+1
		return r.unpackCommit(ctx, below, commit, root, next)
	})
}

// moduleURL is a submodule's URL, which may be relative to that of the repository above it.
func moduleURL(above, url string) string {
	if !strings.HasPrefix(url, "./") && !strings.HasPrefix(url, "../") {
		return url
	}
	scheme, rest, _ := strings.Cut(above, "://")
	host, folder, _ := strings.Cut(rest, "/")
	return scheme + "://" + host + path.Join("/", folder, url)
}

func sameHost(a, b string) bool {
	first, err := transport.NewEndpoint(a)
	if err != nil {
		return false
	}
	second, err := transport.NewEndpoint(b)
	return err == nil && first.Protocol == second.Protocol && first.Host == second.Host && first.Port == second.Port
}

// repository is what a Source names, with the credentials that its secret has.
func (r *reconciler) repository(ctx context.Context, source *v1alpha1.Source) (repository, error) {
	left := r.limits.fetch
	repo := repository{url: source.Spec.Git.URL, client: &http.Client{Transport: r.git}, limits: r.limits, left: &left}
	if source.Spec.Git.SecretRef == nil {
		return repo, nil
	}
	account := types.NamespacedName{Namespace: source.Namespace, Name: source.Spec.ServiceAccountName}
	if account.Name == "" {
		account.Name = "default"
	}
	name := source.Spec.Git.SecretRef.Name
	secret, err := r.secrets.Secret(ctx, account, name)
	switch {
	case apierrors.IsNotFound(err):
		return repo, failed(v1alpha1.ReasonUnauthorized, "The secret %q of spec.git.secretRef does not exist in the namespace, or its service account %q does not.", name, account.Name)
	case apierrors.IsForbidden(err):
		return repo, failed(v1alpha1.ReasonUnauthorized, "The service account %q may not read the secret %q. Allow it to get it, with a Role and a RoleBinding.", account.Name, name)
	case err != nil:
		return repo, err
	}
	repo.auth, err = credentials(repo.url, secret)
	return repo, err
}

// credentials reads a secret in the form of Flux, or of Kubernetes' own types.
func credentials(url string, secret *corev1.Secret) (transport.AuthMethod, error) {
	if _, err := transport.NewEndpoint(url); err != nil {
		return nil, invalid("spec.git.url %q is not the URL of a repository: %v", url, err)
	}
	auth, err := gitclient.Credentials(url, secret)
	if err != nil {
		said := err.Error()
		return nil, failed(v1alpha1.ReasonUnauthorized, "%s.", strings.ToUpper(said[:1])+said[1:])
	}
	return auth, nil
}

// puller says whose credentials are used for a Source's image.
func puller(source *v1alpha1.Source) pull.Puller {
	p := pull.Puller{Namespace: source.Namespace, Account: source.Spec.ServiceAccountName}
	for _, reference := range source.Spec.ImagePullSecrets {
		p.Secrets = append(p.Secrets, reference.Name)
	}
	return p
}
