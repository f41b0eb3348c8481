package convention

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"

	"slipway.dev/slipway/internal/pull"
)

// keptConfigs is how many image configurations are remembered; one is a few kilobytes.
const keptConfigs = 256

// images looks at the images of pod templates.
type images struct {
	aliases     map[string]string
	credentials pull.Credentials
	registries  *pull.Registries
	known       *lru.Cache // configKey to *v1.ConfigFile
}

// configKey holds who looked: what one may see is not shown to another.
type configKey struct{ image, namespace, account, secrets string }

// image is one that was found.
type image struct {
	name   string // with its digest
	config *v1.ConfigFile
	asked  name.Reference
	auth   authn.Authenticator
}

// imageError is what is wrong with the images, each with its own reason.
type imageError struct{ errs []error }

func (e *imageError) Error() string {
	var texts []string
	for _, err := range e.errs {
		texts = append(texts, err.Error())
	}
	return "failed to fetch metadata for Images: " + strings.Join(texts, "; ")
}

// find looks up every image of a template, and names them in it by digest.
func (i *images) find(ctx context.Context, puller pull.Puller, template *corev1.PodTemplateSpec) ([]image, error) {
	var found []image
	var problems []error
	for _, written := range imagesOf(template) {
		one, err := i.look(ctx, puller, written)
		if err != nil {
			problems = append(problems, fmt.Errorf("image: %q error: %w", written, err))
			continue
		}
		rename(template, written, one.name)
		found = append(found, one)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(problems) > 0 {
		return nil, &imageError{problems}
	}
	return found, nil
}

func (i *images) look(ctx context.Context, puller pull.Puller, written string) (image, error) {
	target, err := pull.Parse(written, i.aliases)
	if err != nil {
		return image{}, err
	}
	credentials, err := i.credentials.Find(ctx, puller, target)
	if err != nil {
		return image{}, err
	}
	digest := target.Digest
	if digest == "" {
		if digest, err = i.registries.Digest(ctx, target.Asked, credentials.Auth); err != nil {
			return image{}, withHelp(err, credentials)
		}
	}
	found := image{name: target.Named.Context().Name() + "@" + digest, asked: target.Asked.Context().Digest(digest), auth: credentials.Auth}
	key := configKey{found.name, puller.Namespace, puller.Account, strings.Join(puller.Secrets, ",")}
	if known, ok := i.known.Get(key); ok {
		found.config = known.(*v1.ConfigFile)
		return found, nil
	}
	if _, found.config, err = i.registries.Config(ctx, found.asked, credentials.Auth, runtime.GOARCH); err != nil {
		return image{}, withHelp(err, credentials)
	}
	i.known.Add(key, found.config)
	return found, nil
}

// withHelp adds what is known of credentials that were not found.
func withHelp(err error, found pull.Found) error {
	if len(found.Missing) > 0 {
		err = errors.Join(err, fmt.Errorf("these pull secrets do not exist: %q", found.Missing))
	}
	if len(found.Forbidden) > 0 {
		err = errors.Join(err, fmt.Errorf("the service account may not read these pull secrets: %q", found.Forbidden))
	}
	return err
}
