// Package registry is an environment's image registry as the command line sees it: the container's life and the
// pushing of images. The server that runs inside the container is in registry/server, and the stream that tells of
// pushes in registry/events.
package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
)

// Root is the folder inside the container where the images are; the named volume is mounted there.
const Root = "/var/lib/registry"

// configLabel holds a hash of what the container was made with, so that one made with other settings is replaced.
const configLabel = "slipway.dev/registry-config"

// Options are what a registry's container is made with.
type Options struct {
	Image  string // of slipwayd; must be in the engine
	Port   int    // published on 127.0.0.1
	Events bool   // whether the registry tells of pushes
}

func (o Options) hash(imageID string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %t", imageID, o.Port, o.Events))
	return fmt.Sprintf("%x", sum[:8])
}

// Find returns an environment's registry container, or docker.ErrNotFound.
func Find(ctx context.Context, engine *docker.Engine, name environment.Name) (*docker.Container, error) {
	return engine.Container(ctx, name.Registry())
}

// Current says whether the container is there, runs, and was made with these options.
func Current(ctx context.Context, engine *docker.Engine, name environment.Name, o Options) (bool, error) {
	container, err := Find(ctx, engine, name)
	if errors.Is(err, docker.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return container.Running && current(ctx, engine, container, name, o), nil
}

func current(ctx context.Context, engine *docker.Engine, container *docker.Container, name environment.Name, o Options) bool {
	imageID, err := engine.ImageID(ctx, o.Image)
	return err == nil && container.Labels[configLabel] == o.hash(imageID) && onNetwork(container, name)
}

func onNetwork(container *docker.Container, name environment.Name) bool {
	for _, network := range container.Networks {
		if network == name.Network() {
			return true
		}
	}
	return false
}

// Ensure makes the registry's container so: created when it is missing, started when it is stopped, made again (the
// images stay, they are in a volume) when its settings differ. It reports whether it changed anything, and returns
// when the registry answers.
func Ensure(ctx context.Context, engine *docker.Engine, name environment.Name, o Options) (changed bool, err error) {
	container, err := Find(ctx, engine, name)
	switch {
	case errors.Is(err, docker.ErrNotFound):
	case err != nil:
		return false, err
	case container.Labels[environment.Label] != string(name):
		return false, fmt.Errorf("there is a container %s that slipway did not make", name.Registry())
	case current(ctx, engine, container, name, o):
		if container.Running && container.State != "paused" {
			return false, WaitUntilAnswers(ctx, o.Port)
		}
		if container.State == "paused" {
			err = engine.UnpauseContainer(ctx, name.Registry())
		} else {
			err = engine.StartContainer(ctx, name.Registry())
		}
		if err != nil {
			return false, err
		}
		return true, WaitUntilAnswers(ctx, o.Port)
	default:
		if err := engine.RemoveContainer(ctx, name.Registry()); err != nil {
			return false, err
		}
	}
	if err := create(ctx, engine, name, o); err != nil {
		return false, err
	}
	if err := WaitUntilAnswers(ctx, o.Port); err != nil {
		logs, _ := engine.Logs(context.WithoutCancel(ctx), name.Registry(), 10)
		return true, fmt.Errorf("%w; its last lines:\n%s", err, logs)
	}
	return true, nil
}

func create(ctx context.Context, engine *docker.Engine, name environment.Name, o Options) error {
	imageID, err := engine.ImageID(ctx, o.Image)
	if err != nil {
		return err
	}
	if err := engine.EnsureVolume(ctx, name.Registry(), name.Labels()); err != nil {
		return err
	}
	labels := name.Labels()
	labels[configLabel] = o.hash(imageID)
	return engine.Run(ctx, docker.Spec{
		Name: name.Registry(), Image: o.Image, Labels: labels, Network: name.Network(), Restart: true,
		Command: []string{"registry", fmt.Sprintf("--addr=:%d", environment.RegistryPort), "--root=" + Root, fmt.Sprintf("--events=%t", o.Events)},
		Ports:   []docker.Port{{Container: environment.RegistryPort, Address: loopback, Host: o.Port}},
		Volumes: map[string]string{name.Registry(): Root},
	})
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// answerLimit is how long a fresh container may take to answer: it takes a fraction of a second, more on a machine
// that makes a cluster at the same time.
const answerLimit = 30 * time.Second

// WaitUntilAnswers returns when the registry on the host's port answers, or an error that says what it answered last.
func WaitUntilAnswers(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		last := Answers(ctx, port)
		if last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the registry on port %d: %w", port, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Answers returns nil when a registry answers on a port of the host.
func Answers(ctx context.Context, port int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/v2/", port), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", response.Status)
	}
	return nil
}
