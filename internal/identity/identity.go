// Package identity gives out clients that act as service accounts, by TokenRequest on an anonymous configuration. What
// is done for somebody is done as them, so that nobody gets more out of a controller than their account may. Which
// account that is, and what a refusal means, is its callers' business.
package identity

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

// tokenSeconds is how long a token is asked for; the API server may give less.
const tokenSeconds = 7200

// Pool holds one Identity per account, each with a token that is renewed when half of its life is over.
type Pool struct {
	anonymous *rest.Config
	tokens    clientcorev1.ServiceAccountsGetter

	mu    sync.Mutex
	known map[types.NamespacedName]*Identity
}

// NewPool returns an empty pool. Of config the address of the API server is used, and nothing that authenticates;
// tokens must be allowed to create tokens.
func NewPool(config *rest.Config, tokens clientcorev1.ServiceAccountsGetter) *Pool {
	// Anonymous, so that no client certificate of the controller's own configuration can win over the token.
	anonymous := rest.AnonymousClientConfig(config)
	anonymous.QPS = -1
	return &Pool{anonymous: anonymous, tokens: tokens, known: map[types.NamespacedName]*Identity{}}
}

// Identity is one service account, as it was when it had one UID: an account that is deleted and made again is
// another one, and the tokens of the first are void.
type Identity struct {
	Client  dynamic.Interface    // acts as the account
	Account types.NamespacedName // which one that is

	uid    types.UID
	tokens clientcorev1.ServiceAccountsGetter

	mu      sync.Mutex
	token   string
	renew   time.Time
	expires time.Time
}

// Of returns the Identity of an account; that it has a token is not certain before Ready was called. It fails where the
// pool's configuration makes no client.
func (p *Pool) Of(account types.NamespacedName, uid types.UID) (*Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[account]; ok && known.uid == uid {
		return known, nil
	}
	made := &Identity{Account: account, uid: uid, tokens: p.tokens}
	config := rest.CopyConfig(p.anonymous)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{identity: made, next: next} })
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a client for service account [%s]: %w", account, err)
	}
	made.Client = client
	p.known[account] = made
	return made, nil
}

// Forget drops an account that is gone.
func (p *Pool) Forget(account types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, account)
}

// Ready makes sure that there is a token that is valid. An error is that of the API server's answer to a TokenRequest.
func (i *Identity) Ready(ctx context.Context) error {
	_, err := i.ready(ctx)
	return err
}

// ready returns a token that is valid. An old one is used up while no new one can be had.
func (i *Identity) ready(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.token != "" && now.Before(i.renew) {
		return i.token, nil
	}
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	made, err := i.tokens.ServiceAccounts(i.Account.Namespace).CreateToken(ctx, i.Account.Name, request, metav1.CreateOptions{})
	if err != nil {
		if i.token != "" && now.Before(i.expires) {
			return i.token, nil
		}
		return "", fmt.Errorf("requesting a token for service account [%s]: %w", i.Account, err)
	}
	i.token, i.expires = made.Status.Token, made.Status.ExpirationTimestamp.Time
	i.renew = now.Add(i.expires.Sub(now) / 2)
	return i.token, nil
}

// refused drops a token that the API server does not accept any more.
func (i *Identity) refused(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token == token {
		i.token = ""
	}
}

// bearer puts the identity's token on every request.
type bearer struct {
	identity *Identity
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
