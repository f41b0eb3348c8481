package dev

import (
	"context"
	"errors"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
)

// An API server that was away for less than sayAfter is not worth a line. One that is away is looked for every
// lookPause, and the engine is asked at once whether its container still exists.
const (
	sayAfter   = time.Second
	lookPause  = time.Second
	lookLimit  = 5 * time.Second
	engineWait = 3 * time.Second
)

// keeper looks after the way to an environment's cluster.
type keeper struct {
	reach  *reach
	kube   *rest.Config
	reload func() (*rest.Config, error) // reads the kubeconfig again; nil means that kube stays
	up     string                       // the command that makes the environment
	screen ui.Progress
	now    *cluster       // where the environment was last
	moved  func(*cluster) // is told where it is, when it was made anew
}

// keepInTouch says when the cluster is away and when it is back, until ctx ends. Where the environment was made anew
// meanwhile, the apps go on in the new one.
func (s *session) keepInTouch(ctx context.Context) {
	(&keeper{
		reach: s.reach, kube: s.Kube, reload: s.Reload, up: s.Up, screen: s.Screen, now: s.current.Load(), moved: s.moveTo,
	}).run(ctx)
}

// run says when the cluster is away, when it is back and when it is another one, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		since, news, problem := k.reach.away()
		if since.IsZero() {
			select {
			case <-news:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-news:
			continue
		case <-ctx.Done():
			return
		case <-time.After(sayAfter):
		}
		k.screen.Warn("the cluster does not answer (%v)", bare(problem))
		if !k.awaitReturn(ctx, since) {
			return
		}
	}
}

// awaitReturn looks for the cluster until it answers; it returns false when ctx ends.
func (k *keeper) awaitReturn(ctx context.Context, since time.Time) bool {
	told := false
	for ctx.Err() == nil {
		if !told && k.isGone(ctx) {
			told = true
			k.screen.Warn("environment %s has been removed: `%s` makes it again, and then this goes on by itself", k.now.around.name, k.up)
		}
		fresh, err := k.lookAgain(ctx)
		if err == nil {
			if fresh.around.cluster != k.now.around.cluster {
				k.now = fresh
				k.reach.tell(nil)
				k.moved(fresh)
				return true
			}
			k.screen.Say("The cluster answers again, after %s", time.Since(since).Round(time.Second))
			k.reach.tell(nil)
			return true
		}
		_, news, _ := k.reach.away()
		select {
		case <-ctx.Done():
		case <-time.After(lookPause):
		case <-news:
		}
	}
	return false
}

// lookAgain connects anew, with what the kubeconfig says now.
func (k *keeper) lookAgain(ctx context.Context) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	config := k.kube
	if k.reload != nil {
		var err error
		if config, err = k.reload(); err != nil {
			return nil, err
		}
	}
	return connect(ctx, config, k.reach, k.up)
}

// moveTo makes the apps run in another cluster.
func (s *session) moveTo(c *cluster) {
	s.current.Store(c)
	s.Screen.Say("The environment was made again: the apps go on in it")
	for _, a := range s.apps {
		a.ask(trigger{why: "the environment was made again"})
	}
}

// isGone asks the engine whether the node's container exists no more. An engine that does not answer knows nothing.
func (k *keeper) isGone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	name, err := environment.Parse(k.now.around.name)
	if err != nil {
		return false
	}
	engine, err := docker.Connect(ctx)
	if err != nil {
		return false
	}
	defer engine.Close()
	_, err = engine.Container(ctx, name.Node())
	return errors.Is(err, docker.ErrNotFound)
}

// bare is an error without the URL of the request.
func bare(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
