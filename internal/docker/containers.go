package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"

	"slipway.dev/slipway/internal/hint"
)

// Container is the state of a container.
type Container struct {
	ID       string
	Name     string
	Image    string // the reference that it was made from
	ImageID  string
	Running  bool
	State    string // created, running, paused, restarting, exited, dead
	ExitCode int    // of the last run, when it is not running
	Labels   map[string]string
	Networks []string
	Ports    []Port
}

// Port is a port of a container that is published on the host.
type Port struct {
	Container int        // the TCP port inside
	Address   netip.Addr // of the host; invalid when the engine said none
	Host      int        // the host's port
}

// HostPort returns the host's port for a port inside, or 0 when that is not published.
func (c *Container) HostPort(inside int) int {
	for _, port := range c.Ports {
		if port.Container == inside {
			return port.Host
		}
	}
	return 0
}

// Spec describes a container to run.
type Spec struct {
	Name    string
	Image   string // must be in the engine: nothing is pulled
	Command []string
	Labels  map[string]string
	Network string // "" is the engine's default network
	Ports   []Port
	Volumes map[string]string // volume name -> path inside
	// Restart makes the engine start the container again when it ends, and when the engine itself starts.
	Restart bool
}

// Container returns the named container, or ErrNotFound.
func (e *Engine) Container(ctx context.Context, name string) (*Container, error) {
	found, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return nil, notFound(fmt.Errorf("looking at container %s: %w", name, err))
	}
	c := &Container{
		ID: found.ID, Name: strings.TrimPrefix(found.Name, "/"), Image: found.Config.Image, ImageID: found.Image,
		Running: found.State.Running, State: found.State.Status, ExitCode: found.State.ExitCode, Labels: found.Config.Labels,
		Networks: slices.Sorted(maps.Keys(found.NetworkSettings.Networks)),
	}
	// The wish is in HostConfig and stays there when the container is stopped; the settings hold what is bound now.
	for _, bindings := range []nat.PortMap{found.NetworkSettings.Ports, found.HostConfig.PortBindings} {
		for inside, published := range bindings {
			for _, binding := range published {
				host, err := strconv.Atoi(binding.HostPort)
				if err != nil || host == 0 || c.HostPort(inside.Int()) != 0 {
					continue
				}
				address, _ := netip.ParseAddr(binding.HostIP)
				c.Ports = append(c.Ports, Port{Container: inside.Int(), Address: address, Host: host})
			}
		}
	}
	return c, nil
}

// ContainersWith returns the names of all containers, stopped ones too, that carry the label key=value.
func (e *Engine) ContainersWith(ctx context.Context, key, value string) ([]string, error) {
	return e.containers(ctx, filters.Arg("label", key+"="+value))
}

// ContainersOn returns the names of all containers, stopped ones too, on a network.
func (e *Engine) ContainersOn(ctx context.Context, networkName string) ([]string, error) {
	return e.containers(ctx, filters.Arg("network", networkName))
}

func (e *Engine) containers(ctx context.Context, filter filters.KeyValuePair) ([]string, error) {
	found, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filter)})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	var names []string
	for _, summary := range found {
		if len(summary.Names) > 0 {
			names = append(names, strings.TrimPrefix(summary.Names[0], "/"))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Run creates a container and starts it. When it cannot be started it is removed again.
func (e *Engine) Run(ctx context.Context, spec Spec) error {
	config := &container.Config{Image: spec.Image, Cmd: spec.Command, Labels: spec.Labels, ExposedPorts: nat.PortSet{}}
	hostConfig := &container.HostConfig{PortBindings: nat.PortMap{}, NetworkMode: container.NetworkMode(spec.Network)}
	if spec.Restart {
		hostConfig.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
	}
	for _, port := range spec.Ports {
		inside := nat.Port(strconv.Itoa(port.Container) + "/tcp")
		config.ExposedPorts[inside] = struct{}{}
		hostConfig.PortBindings[inside] = append(hostConfig.PortBindings[inside], nat.PortBinding{HostIP: port.Address.String(), HostPort: strconv.Itoa(port.Host)})
	}
	for _, volume := range slices.Sorted(maps.Keys(spec.Volumes)) {
		hostConfig.Mounts = append(hostConfig.Mounts, mount.Mount{Type: mount.TypeVolume, Source: volume, Target: spec.Volumes[volume]})
	}
	created, err := e.api.ContainerCreate(ctx, config, hostConfig, &network.NetworkingConfig{}, nil, spec.Name)
	if err != nil {
		return fmt.Errorf("creating container %s: %w", spec.Name, err)
	}
	if err := e.api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		removal := e.RemoveContainer(context.WithoutCancel(ctx), created.ID)
		return errors.Join(notStarted(spec.Name, err), removal)
	}
	return nil
}

// notStarted is why a container could not be started. That its port is free is looked at before, but another may be
// quicker; the engine has no error of its own for that.
func notStarted(name string, err error) error {
	found := fmt.Errorf("starting container %s: %w", name, err)
	for _, words := range []string{"port is already allocated", "address already in use", "ports are not available"} {
		if strings.Contains(strings.ToLower(err.Error()), words) {
			return hint.With(found, "another program took the port in this moment: run the command again, and it goes on from here, with another port where none was asked for")
		}
	}
	return found
}

// StartContainer starts a stopped container; it does nothing when it runs.
func (e *Engine) StartContainer(ctx context.Context, name string) error {
	if err := e.api.ContainerStart(ctx, name, container.StartOptions{}); err != nil {
		return notFound(notStarted(name, err))
	}
	return nil
}

// UnpauseContainer resumes a paused container.
func (e *Engine) UnpauseContainer(ctx context.Context, name string) error {
	if err := e.api.ContainerUnpause(ctx, name); err != nil {
		return notFound(fmt.Errorf("resuming container %s: %w", name, err))
	}
	return nil
}

// RemoveContainer removes a container, running or not, with its unnamed volumes. One that is not there is no error.
func (e *Engine) RemoveContainer(ctx context.Context, name string) error {
	err := notFound(e.api.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("removing container %s: %w", name, err)
	}
	return nil
}

// Logs returns the last lines that a container wrote, standard output and error together; lines 0 means all.
func (e *Engine) Logs(ctx context.Context, name string, lines int) (string, error) {
	tail := "all"
	if lines > 0 {
		tail = strconv.Itoa(lines)
	}
	stream, err := e.api.ContainerLogs(ctx, name, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: tail})
	if err != nil {
		return "", notFound(fmt.Errorf("reading the logs of container %s: %w", name, err))
	}
	defer stream.Close()
	var both bytes.Buffer
	if _, err := stdcopy.StdCopy(&both, &both, stream); err != nil {
		// A container with a terminal has one raw stream: what was read so far is all there is to tell.
		return both.String(), nil //nolint:nilerr // see above
	}
	return both.String(), nil
}

// Exec runs a command in a running container and returns what it wrote to standard output. A command that ends
// with another code than 0 is an error that carries its standard error.
func (e *Engine) Exec(ctx context.Context, name string, command ...string) (string, error) {
	created, err := e.api.ContainerExecCreate(ctx, name, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", notFound(fmt.Errorf("running %q in container %s: %w", command[0], name, err))
	}
	attached, err := e.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return "", fmt.Errorf("running %q in container %s: %w", command[0], name, err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, attached.Reader); err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("running %q in container %s: %w", command[0], name, err))
	}
	ended, err := e.api.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return "", fmt.Errorf("running %q in container %s: %w", command[0], name, err)
	}
	if ended.ExitCode != 0 {
		return stdout.String(), fmt.Errorf("running %q in container %s: exit code %d: %s", strings.Join(command, " "), name, ended.ExitCode, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
