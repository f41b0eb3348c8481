package diagnose

import (
	"context"
	"fmt"
	"slices"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/version"
)

// logLines is how much of each log is kept: enough for some minutes of a noisy kubelet, and small enough that the
// folder can be attached to a CI run.
const logLines = 2000

// collectEngine writes what the engine knows: itself, the environment's containers, their logs, the node's journal.
func (c *collector) collectEngine(ctx context.Context) {
	info, err := c.Engine.Info(ctx)
	if err != nil {
		c.missing("the engine", err)
		c.problem("the Docker engine at %s does not answer: %v", c.Engine.Host(), err)
		return
	}
	c.writeYAML("engine/info.yaml", map[string]any{"slipway": version.Version(), "commit": version.Commit(), "host": c.Engine.Host(), "engine": info})

	names, err := c.containers(ctx)
	if err != nil {
		c.missing("the list of containers", err)
		return
	}
	var containers []*docker.Container
	for _, name := range names {
		container, err := c.Engine.Container(ctx, name)
		if err != nil {
			c.missing("container "+name, err)
			continue
		}
		containers = append(containers, container)
		if !container.Running || container.State != "running" {
			c.problem("container %s is %s, exit code %d (engine/%s.log)", name, container.State, container.ExitCode, name)
		}
		log, err := c.Engine.Logs(ctx, name, logLines)
		if err != nil {
			c.missing("the log of container "+name, err)
		}
		c.write("engine/"+name+".log", []byte(log))
	}
	for _, expected := range []string{c.Name.Node(), c.Name.Registry()} {
		if !slices.Contains(names, expected) {
			c.problem("there is no container %s", expected)
		}
	}
	c.writeYAML("engine/containers.yaml", containers)
	for _, container := range containers {
		if container.Name == c.Name.Node() && container.Running {
			c.collectNode(ctx)
		}
	}
}

// containers are those that carry the environment's label or are on its network.
func (c *collector) containers(ctx context.Context) ([]string, error) {
	names, err := c.Engine.ContainersWith(ctx, environment.Label, string(c.Name))
	if err != nil {
		return nil, err
	}
	others, err := c.Engine.ContainersOn(ctx, c.Name.Network())
	if err != nil {
		return nil, err
	}
	names = append(names, others...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// collectNode reads in the node itself what is there even when the API server is not.
func (c *collector) collectNode(ctx context.Context) {
	lines := fmt.Sprint(logLines)
	commands := map[string][]string{
		"kubelet.log":     {"journalctl", "--no-pager", "--unit=kubelet", "--lines=" + lines},
		"containerd.log":  {"journalctl", "--no-pager", "--unit=containerd", "--lines=" + lines},
		"static-pods.log": {"sh", "-c", "for f in /var/log/pods/kube-system_*/*/*.log; do echo \"== $f\"; tail -n 200 \"$f\"; done"},
		"disk.txt":        {"df", "-h", "/", "/var"},
		"registries.txt":  {"sh", "-c", "for f in /etc/containerd/certs.d/*/hosts.toml; do echo \"== $f\"; cat \"$f\"; done"},
	}
	for _, file := range sortedKeys(commands) {
		output, err := c.Engine.Exec(ctx, c.Name.Node(), commands[file]...)
		if err != nil {
			c.missing("the node's "+file, err)
		}
		c.write("node/"+file, []byte(output))
	}
}
