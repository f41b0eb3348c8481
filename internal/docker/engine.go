// Package docker is slipway's narrow view of a Docker engine: images, containers, networks and volumes, as far
// as an environment needs them. It is the only importer of Docker's client library, so that the library can be
// replaced in one place. It knows nothing about environments, and decides nothing.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"slipway.dev/slipway/internal/hint"
)

// ErrNotFound is in the tree of the error of a call that names something that the engine does not have.
var ErrNotFound = errors.New("not found in the engine")

// Engine is a connection to a Docker engine.
type Engine struct {
	api      *client.Client
	endpoint endpoint
}

// Info is what slipway needs to know about an engine.
type Info struct {
	ID            string // tells the engine from all others
	Version       string // the server's version
	OS            string // "linux", or "windows"
	Architecture  string // in Go's words: amd64, arm64
	CgroupVersion int    // 1 or 2
	Rootless      bool
	CPUs          int
	MemoryBytes   int64
	DataRoot      string // where the engine keeps images and volumes, on the engine's machine
}

// Connect finds the engine that the docker program would use and checks that it answers. The error says how to
// get one when there is none.
func Connect(ctx context.Context) (*Engine, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("finding the home directory: %w", err)
	}
	where, err := resolveEndpoint(os.Getenv, home)
	if err != nil {
		return nil, err
	}
	options, err := where.options()
	if err != nil {
		return nil, err
	}
	api, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the Docker engine: %w", err)
	}
	if _, err := api.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, hint.With(fmt.Errorf("reaching the Docker engine at %s: %w", api.DaemonHost(), err),
			"start Docker (Docker Desktop, Colima, `systemctl start docker`; in a checkout of slipway: `scripts/engine.sh`), check with `docker info`, and run the command again")
	}
	return &Engine{api: api, endpoint: where}, nil
}

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// Host is the engine's address, such as unix:///var/run/docker.sock.
func (e *Engine) Host() string { return e.api.DaemonHost() }

// ContextName is the Docker context that the address came from, or "" when it came from DOCKER_HOST or the default.
func (e *Engine) ContextName() string { return e.endpoint.context }

// Info asks the engine about itself.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return Info{}, fmt.Errorf("asking the Docker engine about itself: %w", err)
	}
	out := Info{
		ID: info.ID, Version: info.ServerVersion, OS: info.OSType, Architecture: goArchitecture(info.Architecture),
		CgroupVersion: 1, CPUs: info.NCPU, MemoryBytes: info.MemTotal, DataRoot: info.DockerRootDir,
	}
	if info.CgroupVersion == "2" {
		out.CgroupVersion = 2
	}
	for _, option := range info.SecurityOptions {
		if option == "name=rootless" {
			out.Rootless = true
		}
	}
	return out, nil
}

// goArchitecture turns the engine's word (uname -m) into Go's.
func goArchitecture(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

// notFound marks the engine's "no such object" errors with ErrNotFound, so that callers need not know Docker's.
func notFound(err error) error {
	if err != nil && errdefs.IsNotFound(err) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
