package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

const (
	// restBefore is how long everything is left alone before it is measured: what starts does so in the first minutes.
	restBefore = 5 * time.Minute
	// cpuSpan is how long CPU time is counted. What two equal clusters use in one minute differs by 1.5 % of a core.
	cpuSpan = 5 * time.Minute
)

// usage is what containers use.
type usage struct {
	memory float64       // bytes, without file pages that the kernel can drop at once
	cpu    time.Duration // since they were started
}

// measureIdle leaves an environment of profile testing and a bare cluster alone, side by side, and takes the difference
// of what their containers use.
func measureIdle(ctx context.Context, b *bench) ([]figure, error) {
	kind, err := b.buildKind(ctx)
	if err != nil {
		return nil, err
	}
	config, err := b.kindConfig(false)
	if err != nil {
		return nil, err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		_, _ = b.run(clean, kind, "delete", "cluster", "--name", environmentName+"-bare")
		_, _ = b.run(clean, b.slipway, "down", "--name", environmentName)
	}()
	if _, err := b.run(ctx, kind, "create", "cluster", "--name", environmentName+"-bare", "--image", nodeImage, "--config", config, "--wait", "5m"); err != nil {
		return nil, err
	}
	if _, err := b.run(ctx, b.slipway, "up", "--name", environmentName, "--profile", "testing"); err != nil {
		return nil, err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	if err := leaveAlone(ctx, restBefore); err != nil {
		return nil, err
	}
	sets := [2][]string{{environmentName + "-control-plane", environmentName + "-registry", environmentName + "-git"}, {environmentName + "-bare-control-plane"}}
	var before, after [2]usage
	for i, set := range sets {
		if before[i], err = used(ctx, engine, set); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	if err := leaveAlone(ctx, cpuSpan); err != nil {
		return nil, err
	}
	for i, set := range sets {
		if after[i], err = used(ctx, engine, set); err != nil {
			return nil, err
		}
	}
	span := time.Since(start)
	percent := func(i int) float64 { return 100 * (after[i].cpu - before[i].cpu).Seconds() / span.Seconds() }
	mib := func(i int) float64 { return after[i].memory / (1 << 20) }
	return []figure{
		{"idle_memory", mib(0) - mib(1), "MiB", "<= 250 MiB", fmt.Sprintf("cgroup memory less inactive_file of node, registry and git server, %s after `up --profile testing` (%.0f MiB), less that of a bare kind node as kind makes it, beside it (%.0f MiB)", restBefore, mib(0), mib(1))},
		{"idle_cpu", percent(0) - percent(1), "%", "<= 3 %", fmt.Sprintf("CPU time over %s, of one core: all of profile testing %.1f %%, a node as kind makes it %.1f %%; slipway's is without elections, reads what containers use every 10 s, and its API server collects garbage less often (docs/adr/0008)", cpuSpan, percent(0), percent(1))},
	}, nil
}

func leaveAlone(ctx context.Context, span time.Duration) error {
	select {
	case <-time.After(span):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// used adds up what containers use, pods within them included.
func used(ctx context.Context, engine *client.Client, names []string) (usage, error) {
	var sum usage
	for _, name := range names {
		answer, err := engine.ContainerStatsOneShot(ctx, name)
		if err != nil {
			return sum, err
		}
		var stats container.StatsResponse
		err = json.NewDecoder(answer.Body).Decode(&stats)
		_ = answer.Body.Close()
		if err != nil {
			return sum, fmt.Errorf("reading what %s uses: %w", name, err)
		}
		// Of cgroup v1, inactive_file leaves out the cgroups below, where a node has all its pods; v2 has no total_.
		files, v1 := stats.MemoryStats.Stats["total_inactive_file"]
		if !v1 {
			files = stats.MemoryStats.Stats["inactive_file"]
		}
		if stats.MemoryStats.Usage == 0 || stats.CPUStats.CPUUsage.TotalUsage == 0 {
			return sum, fmt.Errorf("the engine does not say what %s uses", name)
		}
		sum.memory += float64(stats.MemoryStats.Usage - files)
		sum.cpu += time.Duration(stats.CPUStats.CPUUsage.TotalUsage)
	}
	return sum, nil
}
