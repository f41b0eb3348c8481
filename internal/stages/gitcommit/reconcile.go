package gitcommit

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/condition"
	gitclient "slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/pull"
)

// reconciler keeps the places of GitCommits as they are to be, and their status true.
type reconciler struct {
	client      client.Client
	direct      client.Reader // past the cache
	secrets     pull.Secrets
	credentials pull.Credentials
	aliases     map[string]string
	registries  http.RoundTripper
	git         *http.Client
	branches    queues
	refusals    refusals
	log         *slog.Logger
	now         func() time.Time
}

// failure is why the files are not where they are to be. Its message is the same for each attempt that ends alike, since
// the status is written whenever it changes.
type failure struct {
	reason  string
	message string
	settled bool          // trying again helps only when the spec changes
	again   time.Duration // how soon to try again; 0: againAfter
}

func (f *failure) Error() string { return f.message }

func failed(reason, format string, arguments ...any) *failure {
	return &failure{reason: reason, message: fmt.Sprintf(format, arguments...)}
}

func settled(reason, format string, arguments ...any) *failure {
	f := failed(reason, format, arguments...)
	f.settled = true
	return f
}

// Reconcile commits what differs and writes the status if that does. What stands in the status as done is not looked at
// again, unless somebody asks for it: a person may have gone on from there.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	commit := &v1alpha1.GitCommit{}
	if err := r.client.Get(ctx, request.NamespacedName, commit); err != nil {
		if apierrors.IsNotFound(err) {
			r.refusals.drop(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !commit.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	where, err := placeOf(commit)
	var done v1alpha1.GitCommitStatus
	if err == nil {
		digest := where.digest(commit.Spec.Files)
		if isDone(commit, digest) {
			return ctrl.Result{}, nil
		}
		if left := r.refusals.left(commit, r.now()); left > 0 {
			return ctrl.Result{RequeueAfter: left}, nil
		}
		done, err = r.write(ctx, commit, where)
		done.Digest = digest
	}
	if errors.Is(err, errStale) {
		return ctrl.Result{}, nil
	}
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err() // we are being ended; that says nothing about the files
	}
	var problem *failure
	if err != nil {
		problem = asFailure(err, where)
		r.refusals.keep(commit, problem, r.now())
	}
	if err := r.publish(ctx, commit, done, problem); err != nil {
		return ctrl.Result{}, err
	}
	if problem == nil || problem.settled {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: cmp.Or(problem.again, againAfter)}, nil
}

func isDone(commit *v1alpha1.GitCommit, digest string) bool {
	return holds(commit, digest) && commit.Status.LastHandledRequest == commit.Annotations[v1alpha1.AnnotationRequestedAt]
}

// holds says whether the files were seen at their place.
func holds(commit *v1alpha1.GitCommit, digest string) bool {
	return commit.Status.Digest == digest && commit.Status.ObservedGeneration == commit.Generation && meta.IsStatusConditionTrue(commit.Status.Conditions, v1alpha1.ConditionReady)
}

// write puts the files to their place.
func (r *reconciler) write(ctx context.Context, commit *v1alpha1.GitCommit, where place) (v1alpha1.GitCommitStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if where.URL == "" {
		return r.writeBundle(ctx, commit, where)
	}
	repository, err := r.repository(ctx, commit, where.URL)
	if err != nil {
		return v1alpha1.GitCommitStatus{}, err
	}
	leave, err := r.branches.enter(ctx, where.URL+" "+where.Branch)
	if err != nil {
		return v1alpha1.GitCommitStatus{}, fmt.Errorf("waiting for commits of others: %w", err)
	}
	defer leave()
	// What was read may be old: it may be done already, and a commit of older files helps nobody.
	newer := &v1alpha1.GitCommit{}
	if err := r.direct.Get(ctx, client.ObjectKeyFromObject(commit), newer); apierrors.IsNotFound(err) {
		return v1alpha1.GitCommitStatus{}, errStale
	} else if err != nil {
		return v1alpha1.GitCommitStatus{}, fmt.Errorf("reading the object again: %w", err)
	}
	if newer.Generation != commit.Generation || isDone(newer, where.digest(commit.Spec.Files)) {
		return v1alpha1.GitCommitStatus{}, errStale
	}
	git := commit.Spec.Git
	result, err := repository.Commit(ctx, gitclient.Change{
		Branch: where.Branch, Path: where.Path, Files: commit.Spec.Files, Now: r.now,
		Name: or(git.UserName, defaultName), Email: or(git.UserEmail, defaultEmail), Message: or(git.CommitMessage, "bump "+workloadOf(commit)),
	})
	if err != nil {
		return v1alpha1.GitCommitStatus{}, err
	}
	done := v1alpha1.GitCommitStatus{URL: where.URL, Branch: where.Branch, Path: where.Path, Revision: where.Branch + "@sha1:" + result.Commit}
	if !result.Made && holds(newer, where.digest(commit.Spec.Files)) {
		done.Revision = newer.Status.Revision // what others have committed since is no news
	}
	return done, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// errStale makes an attempt end without a word: the newer object is looked at anyway.
var errStale = errors.New("the files have changed meanwhile")

// repository is the one at url, with the credentials that the owner's account may read.
func (r *reconciler) repository(ctx context.Context, commit *v1alpha1.GitCommit, url string) (gitclient.Repository, error) {
	repository := gitclient.Repository{URL: url, Client: r.git}
	wanted := commit.Spec.Git.Secret
	if wanted == "" {
		return repository, nil
	}
	account := types.NamespacedName{Namespace: commit.Namespace, Name: or(commit.Spec.ServiceAccountName, "default")}
	secret, err := r.secrets.Secret(ctx, account, wanted)
	switch {
	case apierrors.IsNotFound(err):
		return repository, failed(v1alpha1.ReasonUnauthorized, "The secret %q of spec.git.secret does not exist in the namespace, or its service account %q does not.", wanted, account.Name)
	case apierrors.IsForbidden(err):
		return repository, failed(v1alpha1.ReasonUnauthorized, "The service account %q may not read the secret %q. Allow it to get it, with a Role and a RoleBinding.", account.Name, wanted)
	case err != nil:
		return repository, err
	}
	if repository.Auth, err = gitclient.Credentials(url, secret); err != nil {
		return repository, failed(v1alpha1.ReasonUnauthorized, "%v.", err)
	}
	return repository, nil
}

// writeBundle pushes the files as an artifact, unless the tag is on equal ones already.
func (r *reconciler) writeBundle(ctx context.Context, commit *v1alpha1.GitCommit, where place) (v1alpha1.GitCommitStatus, error) {
	none := v1alpha1.GitCommitStatus{}
	target, err := pull.Parse(where.Bundle, r.aliases)
	if err != nil {
		return none, settled(v1alpha1.ReasonInvalidSpec, "spec.bundle %q is not the name of an image: %v", where.Bundle, err)
	}
	tag, tagged := target.Asked.(name.Tag)
	if !tagged {
		return none, settled(v1alpha1.ReasonInvalidSpec, "spec.bundle %q names a digest, and what is pushed has its own: name a tag.", where.Bundle)
	}
	found, err := r.credentials.Find(ctx, pull.Puller{Namespace: commit.Namespace, Account: commit.Spec.ServiceAccountName}, target)
	if unusable, is := errors.AsType[*pull.UnusableError](err); is {
		return none, failed(v1alpha1.ReasonInvalidPullSecret, "The pull secrets %q cannot be read as registry credentials: %v", unusable.Names, unusable.Err)
	}
	if err != nil {
		return none, err
	}
	packed, err := artifact.Pack(func(w io.Writer) error { return writeTar(w, commit.Spec.Files) })
	if err != nil {
		return none, err
	}
	digest, err := packed.Digest()
	if err != nil {
		return none, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.registries), remote.WithAuth(found.Auth)}
	if has, err := remote.Head(tag, options...); err != nil || has.Digest != digest {
		if err := remote.Write(tag, packed, options...); err != nil {
			return none, explainRegistry(target, err)
		}
	}
	return v1alpha1.GitCommitStatus{URL: target.At(digest.String()), Revision: tag.TagStr() + "@" + digest.String()}, nil
}

// writeTar writes an archive that depends on the files alone.
func writeTar(w io.Writer, files map[string]string) error {
	out := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
		if _, err := io.WriteString(out, files[name]); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
	}
	return out.Close()
}

func explainRegistry(target pull.Target, err error) error {
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case !answered:
		return err
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return failed(v1alpha1.ReasonUnauthorized, "The registry of %s refuses the push: give the service account a pull secret with credentials for it.", target.Written)
	}
	return failed(v1alpha1.ReasonUnreachable, "The registry of %s answers %d %s. It is tried again by itself.", target.Written, answer.StatusCode, http.StatusText(answer.StatusCode))
}

// asFailure says what an attempt has ended with, for people.
func asFailure(err error, where place) *failure {
	if f, is := errors.AsType[*failure](err); is {
		return f
	}
	at := or(where.URL, where.Bundle)
	switch {
	case errors.Is(err, gitclient.ErrUnauthorized):
		return failed(v1alpha1.ReasonUnauthorized, "%s lets nobody push with these credentials: name a secret with username and password, or for ssh identity and known_hosts, in spec.git.secret (gitops_ssh_secret).", at)
	case errors.Is(err, gitclient.ErrNotFound):
		return failed(v1alpha1.ReasonNotFound, "There is no repository %s, or it is private: create it, or correct the address.", at)
	case errors.Is(err, gitclient.ErrTooLarge):
		return &failure{reason: v1alpha1.ReasonTooLarge, again: largeAgain, message: fmt.Sprintf("%s is %v. Give the configuration a repository or a branch of its own.", at, err)}
	case errors.Is(err, gitclient.ErrRefused):
		return failed(v1alpha1.ReasonRefused, "%s does not take the commit: %v. It is tried again by itself.", at, err)
	}
	if said := condition.Scratch(err); said != "" {
		return failed(v1alpha1.ReasonStorageFailed, "%s", said)
	}
	return failed(v1alpha1.ReasonUnreachable, "%s cannot be reached: %s. It is tried again by itself.", at, pull.Cause(err))
}

// publish writes what has become of the files, unless it stands there already. The last revision stays while a later
// attempt fails.
func (r *reconciler) publish(ctx context.Context, commit *v1alpha1.GitCommit, done v1alpha1.GitCommitStatus, problem *failure) error {
	before := commit.DeepCopy()
	status := &commit.Status
	status.ObservedGeneration = commit.Generation
	status.LastHandledRequest = commit.Annotations[v1alpha1.AnnotationRequestedAt] // whoever asks is answered
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCommitted, ObservedGeneration: commit.Generation}
	if problem != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, problem.reason, problem.message
	} else {
		ready.Message = fmt.Sprintf("revision '%s' holds the files", done.Revision)
		if status.Revision != done.Revision || status.URL != done.URL {
			now := metav1.NewTime(r.now()).Rfc3339Copy()
			status.LastUpdateTime = &now
		}
		status.URL, status.Branch, status.Path, status.Revision, status.Digest = done.URL, done.Branch, done.Path, done.Revision, done.Digest
	}
	ready.Message = condition.Message(ready.Message)
	meta.SetStatusCondition(&status.Conditions, ready)
	if equality.Semantic.DeepEqual(before.Status, commit.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, commit, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of gitcommit %s: %w", client.ObjectKeyFromObject(commit), err))
	}
	r.log.Info("files looked after", "gitcommit", client.ObjectKeyFromObject(commit).String(), "reason", ready.Reason, "message", ready.Message)
	return nil
}
