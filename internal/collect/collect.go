// Package collect keeps the three places where images pile up within a budget: the environment's registry, the engine and
// the node, whose own collection kind turns off. It finds out what anything in the cluster names, and removes of the rest
// the oldest. What is removed from the registry is decided and done by the registry (registry/server); this package tells
// it what to keep. docs/adr/0005-sweeps.md says why it is so.
package collect

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/contents"
)

const (
	// DefaultBudget is what the images in each of the three places may take, in bytes.
	DefaultBudget = 5 << 30
	// DefaultGrace is how long what was pushed, loaded or asked for is left alone.
	DefaultGrace = 5 * time.Minute
)

// Options say what is collected. All but the last three must be set.
type Options struct {
	Name     environment.Name
	Registry string // as the host reaches it, such as localhost:5000
	Kube     *rest.Config
	Engine   *docker.Engine

	Budget int64 // bytes, of each place; 0 removes all that may go
	Grace  time.Duration
	DryRun bool // say what would be done, and do nothing
}

// Report says what was removed, or with DryRun would be. It has JSON names, since programs get it as it is.
type Report struct {
	Registry contents.SweepResult `json:"registry"`
	Engine   Place                `json:"engine"`
	Node     Place                `json:"node"`
}

// Place is what was done in the engine or on the node.
type Place struct {
	Removed []string `json:"removed"` // names of images; never nil
	Freed   int64    `json:"freed"`   // bytes; layers that images share are counted with each
	Used    int64    `json:"used"`    // bytes, afterwards, by slipway's own
}

// Freed is the sum of the three places.
func (r *Report) Freed() int64 { return r.Registry.Freed + r.Engine.Freed + r.Node.Freed }

// Removed is how many images went.
func (r *Report) Removed() int {
	return len(r.Registry.Removed) + len(r.Engine.Removed) + len(r.Node.Removed)
}

// Collect brings each place down to the budget, as far as that goes without anything that is in use. While all of them are
// within it, it looks at them and no further. When it cannot find out what is in use, it removes nothing.
func Collect(ctx context.Context, o Options) (*Report, error) {
	listing, err := registry.List(ctx, o.Registry)
	if err != nil {
		return nil, err
	}
	node, err := nodeImages(ctx, o)
	if err != nil {
		return nil, err
	}
	report := &Report{
		Registry: contents.SweepResult{Removed: []contents.Image{}, Used: listing.Used},
		Engine:   Place{Removed: []string{}}, Node: Place{Removed: []string{}, Used: sizeOf(node)},
	}
	if report.Engine, err = collectEngine(ctx, o); err != nil {
		return nil, err
	}
	if listing.Used <= o.Budget && report.Node.Used <= o.Budget {
		return report, nil
	}
	keep, err := InUse(ctx, o.Kube, o.Registry, o.Name.RegistryInCluster())
	if err != nil {
		return nil, fmt.Errorf("finding out which images are in use: %w", err)
	}
	swept, err := registry.Sweep(ctx, o.Registry, contents.SweepRequest{
		Budget: o.Budget, Keep: keep, Grace: int(o.Grace.Seconds()), DryRun: o.DryRun,
	})
	if err != nil {
		return nil, err
	}
	report.Registry = *swept
	report.Node, err = collectNode(ctx, o, node, keep, listing)
	return report, err
}
