package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/condition"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/tree"
)

const (
	// againAfter is how soon to look again after a failure.
	againAfter = 10 * time.Second
	// largeAgain is the same after a source was too large: it may be gigabytes that are fetched for nothing.
	largeAgain = time.Hour
	// tarEntry is what tar takes for a file beside its content, at most, unless its name is long: a head of 512 bytes,
	// and as much to fill the last block.
	tarEntry = 1024
)

// reconciler keeps the status of Sources true.
type reconciler struct {
	client      client.Client
	secrets     pull.Secrets
	credentials pull.Credentials
	registries  *pull.Registries
	aliases     map[string]string
	registry    string            // where artifacts are stored, as pods name it
	named       string            // as users name it
	git         http.RoundTripper // to git servers
	transport   http.RoundTripper // to the registry
	streams     []*stream
	limits      limits
	timeout     time.Duration       // of a look
	packing     *semaphore.Weighted // of the bytes of files that are packed at the same time, in memory
	interval    time.Duration
	log         *slog.Logger
	looks       looks
	refusals    refusals
}

// Reconcile looks once, stores what is new, and writes the status if it differs. It asks to be called again after the
// Source's interval.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	source := &v1alpha1.Source{}
	if err := r.client.Get(ctx, request.NamespacedName, source); err != nil {
		if apierrors.IsNotFound(err) {
			r.looks.drop(request.NamespacedName)
			r.refusals.drop(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !source.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if source.Spec.Suspend {
		return ctrl.Result{}, r.publish(ctx, source, nil, &failure{reason: v1alpha1.ReasonSuspended, message: "spec.suspend is set: changes are not looked for."})
	}
	found, err := r.look(ctx, source)
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err() // we are being ended; that says nothing about the source
	}
	var problem *failure
	if err != nil {
		problem = asFailure(err, where(source))
	}
	if err := r.publish(ctx, source, found, problem); err != nil {
		return ctrl.Result{}, err
	}
	if problem != nil && problem.settled {
		return ctrl.Result{}, nil
	}
	if _, byDigest := digestOf(source.Spec.Image); byDigest && problem == nil {
		return ctrl.Result{}, nil // it is what it is
	}
	interval := r.interval
	if source.Spec.Interval != nil && source.Spec.Interval.Duration > 0 {
		interval = source.Spec.Interval.Duration
	}
	if problem != nil {
		interval = min(interval, againAfter)
	}
	if problem != nil && problem.large {
		interval = r.refusals.left(source)
	}
	return ctrl.Result{RequeueAfter: interval}, nil
}

func where(source *v1alpha1.Source) string {
	if source.Spec.Git != nil {
		return source.Spec.Git.URL
	}
	return source.Spec.Image
}

func digestOf(image string) (string, bool) {
	reference, err := name.NewDigest(image)
	if err != nil {
		return "", false
	}
	return reference.DigestStr(), true
}

// look returns the artifact of what the source is now, which is the one that it has when nothing is new.
func (r *reconciler) look(ctx context.Context, source *v1alpha1.Source) (*v1alpha1.SourceArtifact, error) {
	known, has := "", source.Status.Artifact
	if has != nil && source.Status.ObservedGeneration == source.Generation && r.isStored(ctx, has) {
		known = has.Revision
	}
	last := known
	if known != "" && source.Spec.SubPath != "" {
		last = cmp.Or(r.looks.at(source), known)
	}
	dir, err := scratch()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var found fetched
	if source.Spec.Git != nil {
		found, err = r.lookAtGit(ctx, source, last, dir)
	} else {
		var ready *v1alpha1.SourceArtifact
		if found, ready, err = r.lookAtImage(ctx, source, last, dir); ready != nil {
			return ready, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if found.same {
		return source.Status.Artifact, nil
	}
	stored, err := r.store(ctx, source, found)
	if err != nil || source.Spec.SubPath == "" {
		return stored, err
	}
	if known != "" && stored.Digest == has.Digest {
		r.looks.keep(source, found.revision)
		return has, nil // a change elsewhere is none: nothing that follows this folder is to begin anew
	}
	r.looks.drop(client.ObjectKeyFromObject(source)) // the artifact tells, once it stands in the status
	return stored, nil
}

// isStored says whether an artifact is still in the registry, which may have lost its volume. When that cannot be asked
// it is taken to be.
func (r *reconciler) isStored(ctx context.Context, has *v1alpha1.SourceArtifact) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, has.URL, nil)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: r.transport, Timeout: pull.Timeout}).Do(request)
	if err != nil {
		return true
	}
	defer response.Body.Close()
	return response.StatusCode != http.StatusNotFound
}

// store packs the files and pushes them.
func (r *reconciler) store(ctx context.Context, source *v1alpha1.Source, found fetched) (*v1alpha1.SourceArtifact, error) {
	dir, err := below(found.dir, source.Spec.SubPath)
	if err != nil {
		return nil, err
	}
	rules, err := tree.NewRules(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	read, err := tree.Read(ctx, rules)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	size := int64(0)
	for _, file := range read.Files {
		size += file.Size
	}
	archived := size + tarEntry*int64(len(read.Files))
	size = min(size, maxFiles)
	if err := r.packing.Acquire(ctx, size); err != nil {
		return nil, err
	}
	defer r.packing.Release(size)
	packed, err := artifact.PackSized(archived, func(w io.Writer) error { return read.WriteTar(ctx, w) })
	if err != nil {
		return nil, err
	}
	digest, err := packed.Digest()
	if err != nil {
		return nil, err
	}
	layers, err := packed.Layers()
	if err != nil {
		return nil, err
	}
	place := path.Join("sources", source.Namespace, source.Name)
	host, err := name.NewRegistry(r.registry, name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("storing the artifact: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := remote.Write(host.Repo(place).Digest(digest.String()), packed, remote.WithContext(ctx), remote.WithTransport(r.transport)); err != nil {
		return nil, failed(v1alpha1.ReasonStorageFailed, "The artifact cannot be pushed to %s: %s. It is tried again by itself.", r.registry, pull.Cause(err))
	}
	stored, err := r.stored(layers[0], place, r.named+"/"+place+"@"+digest.String())
	if err != nil {
		return nil, err
	}
	stored.Revision = found.revision
	return stored, nil
}

// below is the folder that a Source's subPath names.
func below(dir, subPath string) (string, error) {
	if subPath == "" || path.Clean(subPath) == "." {
		return dir, nil
	}
	clean := path.Clean(subPath)
	if !fs.ValidPath(clean) {
		return "", invalid("spec.subPath %q leads out of the source.", subPath)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(clean)
	if err != nil || !info.IsDir() {
		return "", failed(v1alpha1.ReasonReferenceNotFound, "The source has no folder %q.", subPath)
	}
	return filepath.Join(dir, filepath.FromSlash(clean)), nil
}

// stored describes an artifact's archive in the registry.
func (r *reconciler) stored(layer v1.Layer, repository, image string) (*v1alpha1.SourceArtifact, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	size, err := layer.Size()
	if err != nil {
		return nil, err
	}
	return &v1alpha1.SourceArtifact{
		URL: fmt.Sprintf("http://%s/v2/%s/blobs/%s", r.registry, repository, digest), Digest: digest.String(), Size: size, Image: image,
	}, nil
}

// publish writes what was found, unless it stands there already. The last artifact stays while a later look fails.
func (r *reconciler) publish(ctx context.Context, source *v1alpha1.Source, found *v1alpha1.SourceArtifact, problem *failure) error {
	before := source.DeepCopy()
	status := &source.Status
	status.ObservedGeneration = source.Generation
	status.LastHandledRequest = source.Annotations[v1alpha1.AnnotationRequestedAt]
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonStored, ObservedGeneration: source.Generation}
	if problem != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, problem.reason, problem.message
		if problem.reason == v1alpha1.ReasonSuspended && status.Artifact != nil {
			ready.Status = metav1.ConditionTrue
		}
	} else {
		ready.Message = fmt.Sprintf("stored artifact for revision '%s'", found.Revision)
		if status.Artifact != nil {
			found.LastUpdateTime = status.Artifact.LastUpdateTime
		}
		if status.Artifact == nil || !equality.Semantic.DeepEqual(found, status.Artifact) {
			fresh := *found
			fresh.LastUpdateTime = metav1.Now().Rfc3339Copy()
			status.Artifact = &fresh
		}
	}
	ready.Message = condition.Message(ready.Message)
	meta.SetStatusCondition(&status.Conditions, ready)
	if equality.Semantic.DeepEqual(before.Status, source.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, source, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("writing the status of source %s: %w", client.ObjectKeyFromObject(source), err))
	}
	r.log.Info("source looked at", "source", client.ObjectKeyFromObject(source).String(), "reason", ready.Reason, "message", ready.Message)
	return nil
}

var errNoRegistry = errors.New("no registry is known that artifacts could be stored in")
