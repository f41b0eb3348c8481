package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// FollowImages calls changed whenever a name of an image may mean another image than before, until ctx ends or the engine
// goes away, and returns why it ended. connected is called as soon as nothing is missed any more.
func (e *Engine) FollowImages(ctx context.Context, connected, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wanted := filters.NewArgs(filters.Arg("type", string(events.ImageEventType)))
	for _, action := range []events.Action{events.ActionTag, events.ActionPull, events.ActionLoad, events.ActionImport} {
		wanted.Add("event", string(action))
	}
	messages, errs := e.api.Events(ctx, events.ListOptions{Filters: wanted})
	connected()
	for {
		select {
		case <-messages:
			changed()
		case err := <-errs:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("following the engine's images: %w", err)
		}
	}
}
