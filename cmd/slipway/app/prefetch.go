package app

import (
	"context"
	"sync"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/prefetch"
)

// prefetcher has an environment's node pull images. It connects with the first, and where the engine cannot be reached
// it does nothing: pods pull by themselves.
type prefetcher struct {
	name environment.Name

	once   sync.Once // guards what follows
	engine *docker.Engine
	node   *prefetch.Node
	err    error
}

// Pull returns when the node has the image.
func (p *prefetcher) Pull(ctx context.Context, image string) error {
	p.once.Do(func() {
		if p.engine, p.err = docker.Connect(ctx); p.err == nil {
			p.node, p.err = prefetch.New(p.engine, p.name.Node())
		}
	})
	if p.err != nil {
		return p.err
	}
	return p.node.Pull(ctx, image)
}

// Close ends the connections. It must not be called before the last Pull has returned.
func (p *prefetcher) Close() {
	if p.node != nil {
		_ = p.node.Close()
	}
	if p.engine != nil {
		_ = p.engine.Close()
	}
}
