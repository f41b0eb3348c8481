package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/docker/docker/api/types/build"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
)

// Build says what BuildKit in the engine is to build.
type Build struct {
	Context    io.Reader // a tar archive
	Dockerfile string    // its name in the archive
	Target     string    // "" is the last stage
	Args       map[string]string
	Labels     map[string]string // of the image in the engine
	Secrets    map[string][]byte // by id; only the steps that mount them see them
	Platform   string            // such as linux/amd64
	// Progress is told of each step that begins, and of each line that one prints. It is called from one goroutine.
	Progress func(step, line string)
}

// StepError is a step of a Dockerfile that failed.
type StepError struct {
	Step   string // as BuildKit names it, such as "[2/3] RUN make"
	Output string // what it printed, as far as it is kept
	Reason string // what BuildKit says about it
}

func (e *StepError) Error() string { return e.Step + ": " + e.Reason }

// Build builds an image, which has no name in the engine, and returns its identifier. A step that fails is a
// *StepError. Nothing goes on in the engine when ctx has ended.
func (e *Engine) Build(ctx context.Context, b Build) (id string, err error) {
	conversation, err := session.NewSession(ctx, "")
	if err != nil {
		return "", fmt.Errorf("preparing a build in the engine: %w", err)
	}
	conversation.Allow(secretsprovider.FromMap(b.Secrets))
	within, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- conversation.Run(within, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.api.DialHijack(ctx, "/session", proto, meta)
		})
	}()
	defer func() {
		_ = conversation.Close()
		end()
		// Without the session, secrets are not there: what it says is why.
		if sessionErr := <-ended; err != nil && sessionErr != nil && ctx.Err() == nil && !errors.Is(sessionErr, context.Canceled) {
			err = fmt.Errorf("%w (and the session with the engine: %w)", err, sessionErr)
		}
	}()
	return e.build(ctx, b, conversation.ID())
}

func (e *Engine) build(ctx context.Context, b Build, session string) (string, error) {
	arguments := map[string]*string{}
	for name, value := range b.Args {
		arguments[name] = &value
	}
	response, err := e.api.ImageBuild(ctx, b.Context, build.ImageBuildOptions{
		Version: build.BuilderBuildKit, BuildID: rand.Text(), SessionID: session, Remove: true,
		Dockerfile: b.Dockerfile, Target: b.Target, BuildArgs: arguments, Labels: b.Labels, Platform: b.Platform,
	})
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("asking the engine to build: %w", err)
	}
	defer response.Body.Close()
	id, err := followBuild(response.Body, b.Progress)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return id, err
}

// ImageLayers returns the digests of an image's layers, uncompressed, from the bottom; or ErrNotFound.
func (e *Engine) ImageLayers(ctx context.Context, ref string) ([]string, error) {
	inspected, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return nil, notFound(fmt.Errorf("looking at image %s: %w", ref, err))
	}
	return inspected.RootFS.Layers, nil
}
