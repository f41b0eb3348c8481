package dev

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/environment"
)

// Environment is what other commands need to know of the environment that a cluster is of.
type Environment struct {
	Name     environment.Name
	Registry string      // as users write it, such as localhost:5000
	Platform v1.Platform // of the nodes
}

// LookAround reads what a cluster says of its environment; a cluster that `up` did not make is refused. up is the command
// that makes one, for advice.
func LookAround(ctx context.Context, kube *rest.Config, up string) (*Environment, error) {
	found, err := connect(ctx, kube, newReach(), up)
	if err != nil {
		return nil, err
	}
	return found.environment(), nil
}
