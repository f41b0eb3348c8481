package dev

import (
	"context"
	"errors"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
)

// StayOptions are what Stay needs. Kube and Progress must be set.
type StayOptions struct {
	Kube *rest.Config
	// Reload reads the kubeconfig again, for a cluster that was made anew; nil means that Kube stays.
	Reload func() (*rest.Config, error)
	Up     string // the command that makes the environment, for advice
	// Progress is told when the cluster is away, when it is back, and that it is another one.
	Progress ui.Progress
}

// errRemade is the cause with which work in an environment ends that was removed and made again.
var errRemade = errors.New("the environment was made again")

// Stay has work done in an environment, with a client of its cluster that has no time limit, and returns its error. When
// the environment was removed and made again meanwhile, that work is ended, and begins anew in the new one. A cluster that
// `up` did not make is refused, also later: what tells one from another is its UID.
func Stay(ctx context.Context, o StayOptions, work func(context.Context, *Environment, dynamic.Interface) error) error {
	reach := newReach()
	here, err := connect(ctx, o.Kube, reach, o.Up)
	if err != nil {
		return err
	}
	for {
		var next *cluster
		inner, end := context.WithCancelCause(ctx)
		k := &keeper{reach: reach, kube: o.Kube, reload: o.Reload, up: o.Up, screen: o.Progress, now: here, moved: func(c *cluster) {
			next = c
			end(errRemade)
		}}
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			k.run(inner)
		}()
		err := work(inner, here.environment(), here.objects)
		remade := errors.Is(context.Cause(inner), errRemade)
		end(nil)
		<-kept
		if !remade || ctx.Err() != nil {
			return err
		}
		here = next
		o.Progress.Say("The environment was made again: this goes on in it")
	}
}

// environment is what other commands need to know of a cluster.
func (c *cluster) environment() *Environment {
	return &Environment{Name: environment.Name(c.around.name), Registry: c.around.registry, Platform: c.around.platform}
}
