// Package command builds an image with a command of the user's: whatever leaves a folder, a tarball of an image or an
// OCI layout. The command does as it likes with the app's folder; how reproducible it is, is its own affair.
package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/process"
	"slipway.dev/slipway/internal/hint"
)

// Builder is a build.Builder. Its zero value is not for use; New returns one.
type Builder struct {
	config  appfile.Command
	bases   *baseimage.Finder
	scratch string // holds the output of the last build; "" before the first
}

var _ build.Builder = (*Builder)(nil)

// New returns a Builder; bases stays the caller's to close. It does no I/O.
func New(config appfile.Command, bases *baseimage.Finder) *Builder {
	return &Builder{config: config, bases: bases}
}

// Build runs the command in r.Dir and takes what it leaves. The same folder gives the same digest, and so does the same
// content in a tarball; an OCI layout is taken as it is.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	if err := b.clean(); err != nil {
		return nil, err
	}
	output := filepath.Join(b.scratch, "output")
	if b.config.Output != "" {
		output = filepath.Join(r.Dir, filepath.FromSlash(b.config.Output))
	}
	output, err := filepath.Abs(output)
	if err != nil {
		return nil, fmt.Errorf("finding the command's output: %w", err)
	}
	if err := b.run(ctx, r, output); err != nil {
		return nil, err
	}
	made := &build.Result{}
	if made.Image, err = b.take(ctx, r, output, made); err != nil {
		return nil, err
	}
	return made, nil
}

// Close removes what the last build left.
func (b *Builder) Close() error {
	if b.scratch == "" {
		return nil
	}
	scratch := b.scratch
	b.scratch = ""
	return os.RemoveAll(scratch)
}

// clean makes an empty scratch folder.
func (b *Builder) clean() error {
	if err := b.Close(); err != nil {
		return fmt.Errorf("removing the last output: %w", err)
	}
	scratch, err := os.MkdirTemp("", "slipway-build-")
	if err != nil {
		return fmt.Errorf("making a folder to build in: %w", err)
	}
	b.scratch = scratch
	return nil
}

func (b *Builder) run(ctx context.Context, r build.Request, output string) error {
	text := strings.Join(b.config.Run, " ")
	r.Say("running " + text)
	cmd := process.Command(ctx, b.config.Run[0], b.config.Run[1:]...)
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(),
		"SLIPWAY_PLATFORM="+r.Platform.String(), "SLIPWAY_OUTPUT="+output, "SLIPWAY_NAME="+r.Name, "SOURCE_DATE_EPOCH=0")
	for _, name := range slices.Sorted(maps.Keys(b.config.Env)) {
		cmd.Env = append(cmd.Env, name+"="+b.config.Env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		cmd.Env = append(cmd.Env, name+"="+r.Env[name])
	}
	said := &process.Output{Line: r.Say}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	last := said.Text()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return hint.With(fmt.Errorf("running %s: %w", text, err), "install it, or correct build.command.run in slipway.yaml; a program of the folder itself is ./NAME")
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && last != "" {
		return &build.SourceError{Command: text, Output: last}
	}
	return fmt.Errorf("running %s: %w", text, err)
}

// fromFolder makes an image of files, and tells of its base.
func (b *Builder) fromFolder(ctx context.Context, r build.Request, files v1.Layer, told *build.Result) (v1.Image, error) {
	var config appfile.Image
	if b.config.Image != nil {
		config = *b.config.Image
	}
	base, err := b.bases.Find(ctx, baseimage.Query{Base: config.Base, Dir: r.Dir, Registry: r.Registry, Platform: r.Platform, Say: r.Say})
	if err != nil {
		return nil, err
	}
	top := baseimage.Top{Layers: []v1.Layer{files}, Entrypoint: config.Entrypoint, Env: config.Env, User: config.User}
	image, err := baseimage.Put(base, r.Platform, top)
	if err != nil {
		return nil, err
	}
	made, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	if len(made.Config.Entrypoint) == 0 && len(made.Config.Cmd) == 0 {
		return nil, hint.With(errors.New("the command left a folder, and nothing says which program in it to run"),
			"name it as build.command.image.entrypoint in slipway.yaml, such as [/app/server]")
	}
	return image, baseimage.Tell(told, config.Base, base, top)
}
