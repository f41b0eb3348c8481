package image

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/kubernetes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// defaultServiceAccount is the one whose pull secrets a pod without a service account of its own would use.
const defaultServiceAccount = "default"

// credentials finds what to authenticate with for one Image. It reads secrets one by one and never through a
// cache, which would hold every secret of the cluster in memory.
type credentials struct {
	reader client.Reader
	// more is asked when no pull secret fits; may be nil.
	more authn.Keychain
}

// find returns the authenticator for t, and the pull secrets that were named and do not exist. A failure means
// that a secret is there and unusable; an error that the cluster could not be asked.
func (c credentials) find(ctx context.Context, image *v1alpha1.Image, t target) (authn.Authenticator, []string, *failure, error) {
	names, err := c.names(ctx, image, t)
	if err != nil {
		return nil, nil, nil, err
	}
	var secrets []corev1.Secret
	var missing []string
	for _, name := range names {
		var secret corev1.Secret
		err := c.reader.Get(ctx, client.ObjectKey{Namespace: image.Namespace, Name: name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, nil, fmt.Errorf("reading pull secret %q: %w", name, err)
		default:
			secrets = append(secrets, secret)
		}
	}
	auth, err := c.resolve(ctx, secrets, t)
	if err != nil {
		return nil, nil, &failure{
			reason:  v1alpha1.ReasonInvalidPullSecret,
			message: fmt.Sprintf("The pull secrets %q cannot be read as registry credentials: %v. Make them with `kubectl create secret docker-registry`.", names, err),
		}, nil
	}
	return auth, missing, nil, nil
}

func (c credentials) resolve(ctx context.Context, secrets []corev1.Secret, t target) (authn.Authenticator, error) {
	var keychains []authn.Keychain
	if len(secrets) > 0 {
		fromSecrets, err := kubernetes.NewFromPullSecrets(ctx, secrets)
		if err != nil {
			return nil, err
		}
		keychains = append(keychains, fromSecrets)
	}
	if c.more != nil {
		keychains = append(keychains, c.more)
	}
	return authn.Resolve(ctx, authn.NewMultiKeychain(keychains...), t.named.Context())
}

// names are the pull secrets to read, in the order in which they count. A local registry asks for no
// credentials, so that the default service account is not read for it.
func (c credentials) names(ctx context.Context, image *v1alpha1.Image, t target) ([]string, error) {
	var names []string
	for _, reference := range image.Spec.ImagePullSecrets {
		names = append(names, reference.Name)
	}
	account := image.Spec.ServiceAccountName
	if account == "" {
		if t.asked.Context().Scheme() == "http" {
			return names, nil
		}
		account = defaultServiceAccount
	}
	var found corev1.ServiceAccount
	err := c.reader.Get(ctx, client.ObjectKey{Namespace: image.Namespace, Name: account}, &found)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading service account %q: %w", account, err)
	}
	for _, reference := range found.ImagePullSecrets {
		if !slices.Contains(names, reference.Name) {
			names = append(names, reference.Name)
		}
	}
	return names, nil
}
