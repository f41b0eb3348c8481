package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

// failure is why an image is not resolved: a condition's reason and its message. The message holds nothing
// that differs between two attempts with the same outcome (ports, request ids), since the status is written
// whenever it changes.
type failure struct {
	reason  string
	message string
}

func invalidReference(image string, err error) *failure {
	return &failure{
		reason:  v1alpha1.ReasonInvalidReference,
		message: fmt.Sprintf("spec.image %q is not the name of an image: %v. Write it like localhost:5000/apps/demo, with :tag or @sha256:... behind it if you like.", image, err),
	}
}

func invalidPullSecret(err *pull.UnusableError) *failure {
	return &failure{
		reason:  v1alpha1.ReasonInvalidPullSecret,
		message: fmt.Sprintf("The pull secrets %q cannot be read as registry credentials: %v. Make them with `kubectl create secret docker-registry`.", err.Names, err.Err),
	}
}

// explain turns what a registry (or the way to it) answered into a failure. found says which credentials there were.
func explain(t pull.Target, found pull.Found, err error) *failure {
	registry := t.Named.Context().RegistryStr()
	answer, answered := errors.AsType[*transport.Error](err)
	if !answered {
		return &failure{
			reason:  v1alpha1.ReasonUnreachable,
			message: fmt.Sprintf("Registry %s cannot be reached: %s. It is tried again by itself.", asked(registry, t), cause(err)),
		}
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return &failure{
			reason:  v1alpha1.ReasonNotFound,
			message: fmt.Sprintf("Registry %s has no tag %q of %s. Push it, or correct spec.image.", registry, t.Named.Identifier(), t.Written),
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return unauthorized(t, found)
	case http.StatusTooManyRequests:
		return &failure{
			reason:  v1alpha1.ReasonRateLimited,
			message: fmt.Sprintf("Registry %s answers that it is asked too often. It is tried again by itself; credentials in a pull secret may raise the limit.", registry),
		}
	default:
		return &failure{
			reason:  v1alpha1.ReasonUnreachable,
			message: fmt.Sprintf("Registry %s answers %d %s. It is tried again by itself.", asked(registry, t), answer.StatusCode, http.StatusText(answer.StatusCode)),
		}
	}
}

func unauthorized(t pull.Target, found pull.Found) *failure {
	message := fmt.Sprintf("Registry %s refuses to show %s: it does not exist, or is private. "+
		"For a private one, name a secret of type kubernetes.io/dockerconfigjson with credentials for it in spec.imagePullSecrets.",
		t.Named.Context().RegistryStr(), t.Written)
	if len(found.Missing) > 0 {
		message += fmt.Sprintf(" These pull secrets do not exist in the namespace: %q.", found.Missing)
	}
	if len(found.Forbidden) > 0 {
		message += fmt.Sprintf(" These the service account may not read: %q. Allow it to get them, with a Role and a RoleBinding.", found.Forbidden)
	}
	return &failure{reason: v1alpha1.ReasonUnauthorized, message: message}
}

// asked names the registry, and the one that was asked in its place.
func asked(registry string, t pull.Target) string {
	if t.Registry() == registry {
		return registry
	}
	return fmt.Sprintf("%s (asked as %s)", registry, t.Registry())
}

// cause is why the registry cannot be reached; here the time is known that it had.
func cause(err error) string {
	if dns := (*net.DNSError)(nil); errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &dns) {
		return fmt.Sprintf("it did not answer in %v", pull.Timeout)
	}
	return pull.Cause(err)
}
