package bootstrap

import (
	"context"
	"errors"
	"fmt"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/git/container"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// chooseGitPort settles the git server's loopback port: the one that it has, else its own, else the next free one. The
// cluster does not use it, so it may be another one after a `down`.
func (u *up) chooseGitPort(ctx context.Context) error {
	if !u.profile.Has(profiles.Git) {
		return nil
	}
	found, err := container.Find(ctx, u.engine, u.Name)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return err
	}
	if err == nil {
		if u.gitPort = found.HostPort(environment.GitPort); u.gitPort != 0 && (found.Running || takenOn(ctx, u.gitPort) == "") {
			return nil
		}
	}
	port, moved, err := choosePort(ctx, "the git server", "", 0, environment.GitPort, u.registryPort, u.ingressPort, u.ingressTLSPort)
	if err != nil {
		return err
	}
	u.gitPort = port
	if moved {
		u.notes.add(fmt.Sprintf("port %d is taken: the git server is on localhost:%d", environment.GitPort, port))
	}
	return nil
}

// ensureGit runs the git server with slipwayd's image, which the registry's step has loaded into the engine.
func (u *up) ensureGit(ctx context.Context, _ ui.Task) (outcome, error) {
	changed, err := container.Ensure(ctx, u.engine, u.Name, container.Options{Image: slipwaydTag(u.imageDigest), Port: u.gitPort})
	if err != nil {
		return outcome{}, err
	}
	return outcome{changed: changed, detail: fmt.Sprintf("localhost:%d", u.gitPort)}, nil
}

// pruneGit removes the git server of another profile. The repositories stay in their volume, until `down`.
func (u *up) pruneGit(ctx context.Context) (bool, error) {
	if u.profile.Has(profiles.Git) {
		return false, nil
	}
	found, err := container.Find(ctx, u.engine, u.Name)
	if errors.Is(err, docker.ErrNotFound) {
		return false, nil
	}
	if err != nil || found.Labels[environment.Label] != string(u.Name) {
		return false, err
	}
	return true, u.engine.RemoveContainer(ctx, u.Name.Git())
}

// GitStatus is the state of the git server's container.
type GitStatus struct {
	Address string `json:"address,omitempty"` // as users write it
	State   string `json:"state"`             // absent, or the engine's word
	Ready   bool   `json:"ready"`
	Detail  string `json:"detail,omitempty"`
}

// gitStatus looks at the git server's container; nil when there is none.
func gitStatus(ctx context.Context, engine *docker.Engine, name environment.Name) (*GitStatus, error) {
	found, err := container.Find(ctx, engine, name)
	if errors.Is(err, docker.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	port := found.HostPort(environment.GitPort)
	status := &GitStatus{Address: fmt.Sprintf("localhost:%d", port), State: found.State}
	if found.Running && found.State != "paused" {
		if err := container.Answers(ctx, port); err != nil {
			status.Detail = err.Error()
		} else {
			status.Ready = true
		}
	}
	return status, nil
}
