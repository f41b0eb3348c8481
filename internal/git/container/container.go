// Package container is an environment's git server as the command line sees it: the container's life, and what the server
// says of its repositories. The server that runs inside is in internal/git/server.
package container

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
)

// Root is the folder inside the container where the repositories are; the named volume is mounted there.
const Root = "/var/lib/git"

// configLabel holds a hash of what the container was made with, so that one made with other settings is replaced.
const configLabel = "slipway.dev/git-config"

// healthPath is server.HealthPath; the server is not linked into the command line.
const healthPath = "/slipway/v1/healthz"

// Options are what a git server's container is made with.
type Options struct {
	Image string // of slipwayd; must be in the engine
	Port  int    // published on 127.0.0.1
}

func (o Options) hash(imageID string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", imageID, o.Port))
	return fmt.Sprintf("%x", sum[:8])
}

// Find returns an environment's git server's container, or docker.ErrNotFound.
func Find(ctx context.Context, engine *docker.Engine, name environment.Name) (*docker.Container, error) {
	return engine.Container(ctx, name.Git())
}

// Ensure makes the container so: created when it is missing, started when it is stopped, made again (the repositories stay,
// they are in a volume) when its settings differ. It reports whether it changed anything, and returns when the git server
// answers.
func Ensure(ctx context.Context, engine *docker.Engine, name environment.Name, o Options) (changed bool, err error) {
	imageID, err := engine.ImageID(ctx, o.Image)
	if err != nil {
		return false, err
	}
	container, err := Find(ctx, engine, name)
	switch {
	case errors.Is(err, docker.ErrNotFound):
	case err != nil:
		return false, err
	case container.Labels[environment.Label] != string(name):
		return false, fmt.Errorf("there is a container %s that slipway did not make", name.Git())
	case container.Labels[configLabel] == o.hash(imageID) && slices.Contains(container.Networks, name.Network()):
		switch {
		case container.State == "paused":
			changed, err = true, engine.UnpauseContainer(ctx, name.Git())
		case !container.Running:
			changed, err = true, engine.StartContainer(ctx, name.Git())
		}
		if err != nil {
			return false, err
		}
		return changed, waitUntilAnswers(ctx, engine, name, o.Port)
	default:
		if err := engine.RemoveContainer(ctx, name.Git()); err != nil {
			return false, err
		}
	}
	if err := create(ctx, engine, name, o, imageID); err != nil {
		return false, err
	}
	return true, waitUntilAnswers(ctx, engine, name, o.Port)
}

func create(ctx context.Context, engine *docker.Engine, name environment.Name, o Options, imageID string) error {
	if err := engine.EnsureVolume(ctx, name.Git(), name.Labels()); err != nil {
		return err
	}
	labels := name.Labels()
	labels[configLabel] = o.hash(imageID)
	return engine.Run(ctx, docker.Spec{
		Name: name.Git(), Image: o.Image, Labels: labels, Network: name.Network(), Restart: true,
		Command: []string{"git", fmt.Sprintf("--addr=:%d", environment.GitPort), "--root=" + Root},
		Ports:   []docker.Port{{Container: environment.GitPort, Address: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Host: o.Port}},
		Volumes: map[string]string{name.Git(): Root},
	})
}

// answerLimit is how long a fresh container may take to answer: it takes a fraction of a second, more on a machine that
// makes a cluster at the same time.
const answerLimit = 30 * time.Second

func waitUntilAnswers(ctx context.Context, engine *docker.Engine, name environment.Name, port int) error {
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		last := Answers(limited, port)
		if last == nil {
			return nil
		}
		select {
		case <-limited.Done():
			logs, _ := engine.Logs(context.WithoutCancel(ctx), name.Git(), 10)
			return fmt.Errorf("waiting for the git server on port %d: %w; its last lines:\n%s", port, last, logs)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Answers returns nil when a git server answers on a port of the host.
func Answers(ctx context.Context, port int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, healthPath), nil)
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
