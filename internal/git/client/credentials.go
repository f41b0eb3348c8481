package client

import (
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	corev1 "k8s.io/api/core/v1"
)

// Credentials reads a secret for a repository: username and password, or bearerToken, for http; identity and known_hosts
// (and password, of the key) for ssh. The keys of kubernetes.io/basic-auth and kubernetes.io/ssh-auth are understood too.
// A host that the secret does not list is not trusted. An error says what the secret lacks.
func Credentials(url string, secret *corev1.Secret) (transport.AuthMethod, error) {
	get := func(keys ...string) string {
		for _, key := range keys {
			if value := secret.Data[key]; len(value) > 0 {
				return string(value)
			}
		}
		return ""
	}
	if !strings.HasPrefix(url, "ssh://") {
		if token := get("bearerToken"); token != "" {
			return &githttp.TokenAuth{Token: token}, nil
		}
		if get(corev1.BasicAuthUsernameKey) == "" && get(corev1.BasicAuthPasswordKey) == "" {
			return nil, fmt.Errorf("the secret %q has neither username and password nor bearerToken", secret.Name)
		}
		return &githttp.BasicAuth{Username: get(corev1.BasicAuthUsernameKey), Password: get(corev1.BasicAuthPasswordKey)}, nil
	}
	endpoint, err := transport.NewEndpoint(url)
	if err != nil {
		return nil, fmt.Errorf("%q is not the URL of a repository: %w", url, err)
	}
	user := endpoint.User
	if user == "" {
		user = "git"
	}
	key, err := gitssh.NewPublicKeys(user, []byte(get("identity", corev1.SSHAuthPrivateKey)), get(corev1.BasicAuthPasswordKey))
	if err != nil {
		return nil, fmt.Errorf("the secret %q has no private key that can be used, under identity or %s: %w", secret.Name, corev1.SSHAuthPrivateKey, err)
	}
	if err := trust(key, endpoint, get("known_hosts")); err != nil {
		return nil, fmt.Errorf("the secret %q has no known_hosts that can be used, and an unknown host is not trusted: %w", secret.Name, err)
	}
	return keys{key}, nil
}
