package dev

import (
	"context"
	"errors"
	"net/url"
	"time"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
)

// An API server that was away for less than sayAfter is not worth a line. One that is away is looked for every
// lookPause, and the engine is asked at once whether its container still exists.
const (
	sayAfter   = time.Second
	lookPause  = time.Second
	lookLimit  = 5 * time.Second
	engineWait = 3 * time.Second
)

// keepInTouch says when the cluster is away and when it is back, until ctx ends. Where the environment was made anew
// meanwhile, the apps go on in the new one.
func (s *session) keepInTouch(ctx context.Context) {
	for {
		since, news, problem := s.reach.away()
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
		s.Screen.Warn("the cluster does not answer (%v)", bare(problem))
		if !s.awaitReturn(ctx, since) {
			return
		}
	}
}

// awaitReturn looks for the cluster until it answers; it returns false when ctx ends.
func (s *session) awaitReturn(ctx context.Context, since time.Time) bool {
	told := false
	for ctx.Err() == nil {
		if !told && s.isGone(ctx) {
			told = true
			s.Screen.Warn("environment %s has been removed: `%s` makes it again, and then this goes on by itself", s.current.Load().around.name, s.Up)
		}
		now := s.current.Load()
		fresh, err := s.lookAgain(ctx)
		if err == nil {
			if fresh.around.cluster != now.around.cluster {
				s.moveTo(fresh)
				return true
			}
			s.Screen.Say("The cluster answers again, after %s", time.Since(since).Round(time.Second))
			s.reach.tell(nil)
			return true
		}
		_, news, _ := s.reach.away()
		select {
		case <-ctx.Done():
		case <-time.After(lookPause):
		case <-news:
		}
	}
	return false
}

// lookAgain connects anew, with what the kubeconfig says now.
func (s *session) lookAgain(ctx context.Context) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	config := s.Kube
	if s.Reload != nil {
		var err error
		if config, err = s.Reload(); err != nil {
			return nil, err
		}
	}
	return connect(ctx, config, s.reach, s.Up)
}

// moveTo makes the apps run in another cluster.
func (s *session) moveTo(c *cluster) {
	s.current.Store(c)
	s.reach.tell(nil)
	s.Screen.Say("The environment was made again: the apps go on in it")
	for _, a := range s.apps {
		a.ask(trigger{why: "the environment was made again"})
	}
}

// isGone asks the engine whether the node's container exists no more. An engine that does not answer knows nothing.
func (s *session) isGone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	name, err := environment.Parse(s.current.Load().around.name)
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
