package pull

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/kubernetes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// defaultAccount is the one whose pull secrets a pod without a service account of its own would use.
const defaultAccount = "default"

// Secrets reads a secret of an account's namespace as that account.
type Secrets interface {
	// Secret fails as the API server does: with NotFound or Forbidden, also where it is the account that is not there.
	Secret(ctx context.Context, account types.NamespacedName, name string) (*corev1.Secret, error)
}

// Credentials finds what to authenticate with. Secrets are read one by one and never through a cache, which would hold
// every secret of the cluster in memory.
type Credentials struct {
	Accounts client.Reader  // reads service accounts
	Secrets  Secrets        // reads their secrets
	More     authn.Keychain // is asked when no pull secret fits; nil means none
}

// Puller says whose credentials are meant.
type Puller struct {
	Namespace string
	Account   string   // of the namespace; "" means its service account default
	Secrets   []string // pull secrets that come before the account's
}

// Found is what there is to authenticate with.
type Found struct {
	Auth      authn.Authenticator
	Missing   []string // pull secrets that were named and do not exist
	Forbidden []string // pull secrets that the account may not read
}

// UnusableError means that a pull secret is there and no credentials for a registry.
type UnusableError struct {
	Names []string // the pull secrets that were read
	Err   error
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("reading the pull secrets %q as registry credentials: %v", e.Names, e.Err)
}

// Unwrap returns what is wrong with them.
func (e *UnusableError) Unwrap() error { return e.Err }

// Find returns the credentials for t. An error that is not an *UnusableError means that the cluster could not be asked.
func (c Credentials) Find(ctx context.Context, p Puller, t Target) (Found, error) {
	names, err := c.names(ctx, p, t)
	if err != nil {
		return Found{}, err
	}
	account := types.NamespacedName{Namespace: p.Namespace, Name: p.Account}
	if account.Name == "" {
		account.Name = defaultAccount
	}
	var found Found
	var secrets []corev1.Secret
	for _, name := range names {
		secret, err := c.Secrets.Secret(ctx, account, name)
		switch {
		case apierrors.IsNotFound(err):
			found.Missing = append(found.Missing, name)
		case apierrors.IsForbidden(err):
			found.Forbidden = append(found.Forbidden, name)
		case err != nil:
			return Found{}, fmt.Errorf("reading pull secret %q: %w", name, err)
		default:
			secrets = append(secrets, *secret)
		}
	}
	if found.Auth, err = c.resolve(ctx, secrets, t); err != nil {
		return Found{}, &UnusableError{Names: names, Err: err}
	}
	return found, nil
}

func (c Credentials) resolve(ctx context.Context, secrets []corev1.Secret, t Target) (authn.Authenticator, error) {
	var keychains []authn.Keychain
	if len(secrets) > 0 {
		fromSecrets, err := kubernetes.NewFromPullSecrets(ctx, secrets)
		if err != nil {
			return nil, err
		}
		keychains = append(keychains, fromSecrets)
	}
	if c.More != nil {
		keychains = append(keychains, c.More)
	}
	return authn.Resolve(ctx, authn.NewMultiKeychain(keychains...), t.Named.Context())
}

// names are the pull secrets to read, in the order in which they count. A local registry asks for no credentials, so
// that the default service account is not read for it.
func (c Credentials) names(ctx context.Context, p Puller, t Target) ([]string, error) {
	names := slices.Clone(p.Secrets)
	account := p.Account
	if account == "" {
		if t.Asked.Context().Scheme() == "http" {
			return names, nil
		}
		account = defaultAccount
	}
	var found corev1.ServiceAccount
	err := c.Accounts.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: account}, &found)
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
