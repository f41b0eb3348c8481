package fulfil

import (
	"context"
	"slices"
	"time"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/docker"
)

// followEngine notes in the status of Builds that an image of the engine which their Dockerfile names is another one now,
// until ctx ends. What other engines have it cannot know. An engine that went away is waited for.
func (f *fulfiller) followEngine(ctx context.Context) {
	select {
	case <-f.engineBases:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		f.followEngineOnce(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(noStreamPause):
		}
	}
}

func (f *fulfiller) followEngineOnce(ctx context.Context) {
	engine, err := f.Engine(ctx)
	if err != nil {
		return
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	if err != nil {
		return
	}
	look := func() { f.lookAtEngine(ctx, engine, info.ID) }
	_ = engine.FollowImages(ctx, look, look) // it is followed again
}

// lookAtEngine looks at the bases that an engine has.
func (f *fulfiller) lookAtEngine(ctx context.Context, engine *docker.Engine, id string) {
	f.compareBases(ctx, func(base v1alpha1.BuildBase) string {
		if base.Engine != id {
			return ""
		}
		now, err := engine.ImageID(ctx, base.Name)
		if err != nil {
			return "" // it was removed: the build stays as it is
		}
		return now
	})
}

// inEngine says whether a Build has a base of an engine.
func inEngine(b *v1alpha1.Build) bool {
	return slices.ContainsFunc(b.Status.Bases, func(base v1alpha1.BuildBase) bool { return base.Engine != "" })
}
