package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/condition"
	"slipway.dev/slipway/internal/pull"
)

// lookAtImage finds an artifact in a registry. What is in our own registry in the right form is taken as it is: then
// ready is set. Else its layers are unpacked, unless it is what is known already.
func (r *reconciler) lookAtImage(ctx context.Context, source *v1alpha1.Source, known, dir string) (found fetched, ready *v1alpha1.SourceArtifact, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	target, err := pull.Parse(source.Spec.Image, r.aliases)
	if err != nil {
		return fetched{}, nil, invalid("spec.image %q is not the name of an image: %v", source.Spec.Image, err)
	}
	credentials, err := r.credentials.Find(ctx, puller(source), target)
	if unusable, is := errors.AsType[*pull.UnusableError](err); is {
		return fetched{}, nil, failed(v1alpha1.ReasonInvalidPullSecret, "The pull secrets %q cannot be read as registry credentials: %v", unusable.Names, unusable.Err)
	}
	if err != nil {
		return fetched{}, nil, err
	}
	digest, revision := target.Digest, target.Digest
	if digest == "" {
		if digest, err = r.registries.Digest(ctx, target.Asked, credentials.Auth); err != nil {
			return fetched{}, nil, explainRegistry(source.Spec.Image, credentials, err)
		}
		revision = target.Named.Identifier() + "@" + digest
	}
	if revision == known {
		return fetched{revision: known, same: true}, nil, nil
	}
	if err := r.refusals.check(source, revision); err != nil {
		return fetched{}, nil, err
	}
	defer func() { r.refusals.keep(source, revision, err) }()
	image, err := r.registries.Image(ctx, target.Asked.Context().Digest(digest), credentials.Auth)
	if err != nil {
		return fetched{}, nil, explainRegistry(source.Spec.Image, credentials, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return fetched{}, nil, explainRegistry(source.Spec.Image, credentials, err)
	}
	if ready, err := r.asItIs(source, target, digest, layers); ready != nil || err != nil {
		if ready != nil {
			ready.Revision = revision
		}
		return fetched{revision: revision}, ready, err
	}
	if err := r.fits(source.Spec.Image, layers); err != nil {
		return fetched{}, nil, err
	}
	files := filepath.Join(dir, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return fetched{}, nil, err
	}
	budget := &artifact.Budget{MaxBytes: r.limits.files} // of all layers
	for _, layer := range layers {
		if err := unpackLayer(layer, files, budget); err != nil {
			if ctx.Err() != nil {
				return fetched{}, nil, ctx.Err() // what came until then says nothing about the layer
			}
			if condition.Scratch(err) != "" {
				return fetched{}, nil, err // that is ours, not the image's
			}
			return fetched{}, nil, unpackable(source.Spec.Image, err)
		}
	}
	return fetched{revision: revision, dir: files}, nil, nil
}

// fits refuses layers that are too large to pull, before any is: what they unpack to says nothing about that, and no more
// of a layer is read than the size that its manifest names.
func (r *reconciler) fits(image string, layers []v1.Layer) error {
	left := r.limits.fetch.Packed
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return failed(v1alpha1.ReasonUnpackable, "%s does not hold a source: %v", image, err)
		}
		if size < 0 || size > left {
			return tooLarge("The layers of %s are larger than %d MiB, compressed, and no more is pulled.", image, r.limits.fetch.Packed>>20)
		}
		left -= size
	}
	return nil
}

// asItIs returns the artifact when it needs no work: of the form that Pack makes, in the registry that pods can reach
// without credentials, and wanted whole.
func (r *reconciler) asItIs(source *v1alpha1.Source, target pull.Target, digest string, layers []v1.Layer) (*v1alpha1.SourceArtifact, error) {
	if source.Spec.SubPath != "" || len(layers) != 1 || target.Registry() != r.registry {
		return nil, nil
	}
	kind, err := layers[0].MediaType()
	if err != nil || kind != artifact.FluxContent {
		return nil, err
	}
	return r.stored(layers[0], target.Asked.Context().RepositoryStr(), target.At(digest))
}

func unpackLayer(layer v1.Layer, dir string, budget *artifact.Budget) error {
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	return budget.Unpack(content, dir)
}

func unpackable(image string, err error) error {
	if errors.Is(err, artifact.ErrTooLarge) {
		return tooLarge("%s: %v", image, err)
	}
	return failed(v1alpha1.ReasonUnpackable, "%s does not hold a source: %v", image, err)
}

// explainRegistry turns what a registry answered into a failure.
func explainRegistry(image string, found pull.Found, err error) error {
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case !answered:
		return err
	case answer.StatusCode == http.StatusNotFound:
		return failed(v1alpha1.ReasonNotFound, "There is no %s. Push it, or correct spec.image.", image)
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		message := fmt.Sprintf("The registry refuses to show %s: it does not exist, or is private; name a secret with credentials in spec.imagePullSecrets.", image)
		if len(found.Missing) > 0 {
			message += fmt.Sprintf(" These do not exist: %q.", found.Missing)
		}
		if len(found.Forbidden) > 0 {
			message += fmt.Sprintf(" These the service account may not read: %q.", found.Forbidden)
		}
		return failed(v1alpha1.ReasonUnauthorized, "%s", message)
	}
	return failed(v1alpha1.ReasonUnreachable, "The registry answers %d %s. It is tried again by itself.", answer.StatusCode, http.StatusText(answer.StatusCode))
}
