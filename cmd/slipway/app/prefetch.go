package app

import (
	"context"
	"errors"
	"sync"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/prefetch"
)

// prefetcher has an environment's node pull images. It connects with the first; where the engine cannot be reached, pods
// pull by themselves, and the next image tries again.
type prefetcher struct {
	name environment.Name

	mutex  sync.Mutex // guards what follows
	engine *docker.Engine
	node   *prefetch.Node
}

// Pull returns when the node has the image.
func (p *prefetcher) Pull(ctx context.Context, image string) error {
	node, err := p.connect(ctx)
	if err != nil {
		return err
	}
	if err = node.Pull(ctx, image); errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.forget(node) // a connection that a sleep of the machine has cut does not say so
	}
	return err
}

// forget has the next Pull connect anew.
func (p *prefetcher) forget(node *prefetch.Node) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.node == node {
		p.close()
	}
}

func (p *prefetcher) connect(ctx context.Context) (*prefetch.Node, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.node != nil {
		return p.node, nil
	}
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	node, err := prefetch.New(engine, p.name.Node())
	if err != nil {
		_ = engine.Close()
		return nil, err
	}
	p.engine, p.node = engine, node
	return node, nil
}

// Close ends the connections. It must not be called before the last Pull has returned.
func (p *prefetcher) Close() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.close()
}

func (p *prefetcher) close() {
	if p.node == nil {
		return
	}
	_, _ = p.node.Close(), p.engine.Close() // nothing can be done about it
	p.node, p.engine = nil, nil
}
