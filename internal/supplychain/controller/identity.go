package controller

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const tokenSeconds = 7200

// identities gives out clients that act as service accounts: one per account, each with a token that is renewed when
// half of its life is over.
type identities struct {
	anonymous *rest.Config
	tokens    clientcorev1.ServiceAccountsGetter

	mu    sync.Mutex
	known map[types.NamespacedName]*identity
}

func newIdentities(config *rest.Config, tokens clientcorev1.ServiceAccountsGetter) *identities {
	// Anonymous, so that no client certificate of the controller's own configuration can win over the token.
	anonymous := rest.AnonymousClientConfig(config)
	anonymous.QPS = -1
	return &identities{anonymous: anonymous, tokens: tokens, known: map[types.NamespacedName]*identity{}}
}

// identity is one service account, as it was when it had this UID: an account that is deleted and made again is
// another one, and the tokens of the first are void.
type identity struct {
	client  dynamic.Interface
	account types.NamespacedName
	uid     types.UID
	tokens  clientcorev1.ServiceAccountsGetter

	mu      sync.Mutex
	token   string
	renew   time.Time
	expires time.Time
}

// of returns the identity of an account; that it has a token is not certain before ready was called.
func (i *identities) of(account types.NamespacedName, uid types.UID) (*identity, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, ok := i.known[account]; ok && known.uid == uid {
		return known, nil
	}
	made := &identity{account: account, uid: uid, tokens: i.tokens}
	config := rest.CopyConfig(i.anonymous)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{identity: made, next: next} })
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a client for service account [%s]: %w", account, err)
	}
	made.client = client
	i.known[account] = made
	return made, nil
}

// forget drops an account that is gone.
func (i *identities) forget(account types.NamespacedName) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.known, account)
}

// ready makes sure that there is a token that is valid, and returns it. An old one is used up while no new one can
// be had.
func (i *identity) ready(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.token != "" && now.Before(i.renew) {
		return i.token, nil
	}
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	made, err := i.tokens.ServiceAccounts(i.account.Namespace).CreateToken(ctx, i.account.Name, request, metav1.CreateOptions{})
	if err != nil {
		if i.token != "" && now.Before(i.expires) {
			return i.token, nil
		}
		return "", fmt.Errorf("requesting a token for service account [%s]: %w", i.account, err)
	}
	i.token, i.expires = made.Status.Token, made.Status.ExpirationTimestamp.Time
	i.renew = now.Add(i.expires.Sub(now) / 2)
	return i.token, nil
}

// refused drops a token that the API server does not accept any more.
func (i *identity) refused(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token == token {
		i.token = ""
	}
}

// bearer puts the identity's token on every request.
type bearer struct {
	identity *identity
	next     http.RoundTripper
}

func (b *bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := b.identity.ready(request.Context())
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := b.next.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		b.identity.refused(token)
	}
	return response, err
}
