package dev

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/internal/ui"
)

// follow follows the saves of each app until ctx ends, one cannot be followed any more, or the user has enough.
func (s *session) follow(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range s.apps {
		group.Go(func() error {
			defer s.crashed()
			return a.loop(ctx)
		})
	}
	group.Go(func() error {
		defer s.crashed()
		s.keepInTouch(ctx)
		return ctx.Err()
	})
	var opening sync.WaitGroup
	defer opening.Wait()
	group.Go(func() error {
		defer s.crashed()
		return s.obey(ctx, &opening)
	})
	return group.Wait()
}

// obey does what keys say until ctx ends or one says to quit.
func (s *session) obey(ctx context.Context, opening *sync.WaitGroup) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case key := <-s.Screen.Keys():
			switch key {
			case ui.KeyQuit:
				return ErrQuit
			case ui.KeyLogs:
				s.Screen.ToggleLogs()
			case ui.KeyRebuild:
				for _, a := range s.apps {
					a.ask(trigger{why: "r was pressed", fresh: true})
				}
			case ui.KeyOpen:
				opening.Go(func() { s.open(ctx) })
			}
		}
	}
}

// open shows the first app that has an address in the user's browser.
func (s *session) open(ctx context.Context) {
	url := s.Screen.FirstAddress()
	switch {
	case url == "":
		s.Screen.Say("There is no address to open yet")
	case s.Open == nil:
		s.Screen.Say("Open %s", url)
	default:
		if err := s.Open(ctx, url); err != nil {
			s.Screen.Warn("opening %s: %v", url, err)
		}
	}
}

// crashed gives the terminal back before a panic ends the process; it is to be deferred in every goroutine of the
// session's own.
func (s *session) crashed() {
	if problem := recover(); problem != nil {
		s.Screen.Close()
		panic(problem)
	}
}
