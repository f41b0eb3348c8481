// Package choose finds the builder for a folder: the one that slipway.yaml names, or the one that fits what is there;
// and builds with it. What each builder does is in its own package.
package choose

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/command"
	"slipway.dev/slipway/internal/build/dockerfile"
	"slipway.dev/slipway/internal/build/gobinary"
	"slipway.dev/slipway/internal/build/staticsite"
	"slipway.dev/slipway/internal/docker"
)

// Options are what builders need that is not in the source. The zero value is allowed; what needs a missing part says so.
type Options struct {
	Own baseimage.Own // slipway's base
	// Engine connects to the engine; nil means that there is none. Only Dockerfiles, and bases in the engine, need it.
	Engine func(context.Context) (*docker.Engine, error)
	// Server is what serves static sites.
	Server staticsite.Server
}

// Builder is a build.Builder for any folder. It looks at the folder anew each time, so that a slipway.yaml that changes
// is obeyed at once.
type Builder struct {
	options Options
	bases   *baseimage.Finder
	choice  Choice
	inner   build.Builder // of choice; nil before the first build
	said    string        // the choice that was told last
}

var (
	_ build.Beginner = (*Builder)(nil)
	_ build.Learner  = (*Builder)(nil)
)

// New returns a Builder. It does no I/O.
func New(o Options) *Builder {
	return &Builder{options: o, bases: &baseimage.Finder{Own: o.Own, Engine: o.Engine}}
}

// Build builds as Detect says; what slipway.yaml says is not source is left out.
func (b *Builder) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	choice, err := choose(ctx, &r)
	if err != nil {
		return nil, err
	}
	if text := choice.Explain(); text != b.said {
		b.said = text
		r.Say(text)
	}
	if !b.chose(choice) {
		if err := b.closeInner(); err != nil {
			return nil, err
		}
		if b.inner, err = b.open(choice); err != nil {
			return nil, err
		}
		b.choice = choice
	}
	return b.inner.Build(ctx, r)
}

// Begins is for build.Beginner: it says what the builder says that was used last.
func (b *Builder) Begins() bool {
	inner, can := b.inner.(build.Beginner)
	return can && inner.Begins()
}

// Begin is for build.Beginner. It does nothing where another builder than the last one is to be used now.
func (b *Builder) Begin(ctx context.Context, r build.Request) <-chan struct{} {
	if !b.Begins() {
		return nil
	}
	choice, err := choose(ctx, &r)
	if err != nil || !b.chose(choice) {
		return nil
	}
	return b.inner.(build.Beginner).Begin(ctx, r)
}

// Learn is for build.Learner: the builder learns that was used last.
func (b *Builder) Learn(ctx context.Context) <-chan struct{} {
	if inner, can := b.inner.(build.Learner); can {
		return inner.Learn(ctx)
	}
	return nil
}

// choose finds the builder, and lists the source for it.
func choose(ctx context.Context, r *build.Request) (Choice, error) {
	app, err := appfile.Load(r.Dir)
	if err != nil {
		return Choice{}, err
	}
	if r.Source, err = r.Tree(ctx, app.Ignored(r.Dir)...); err != nil {
		return Choice{}, err
	}
	return Detect(app, r.Source, r.Platform, r.Main)
}

// chose says whether a choice is the one that is there.
func (b *Builder) chose(c Choice) bool {
	return b.inner != nil && c.Kind == b.choice.Kind && reflect.DeepEqual(c.Build, b.choice.Build)
}

func (b *Builder) open(c Choice) (build.Builder, error) {
	switch c.Kind {
	case Go:
		return gobinary.New(*c.Build.Go, b.bases), nil
	case Dockerfile:
		return dockerfile.New(*c.Build.Dockerfile, b.options.Engine, b.bases), nil
	case Static:
		return staticsite.New(*c.Build.Static, b.options.Server), nil
	case Command:
		return command.New(*c.Build.Command, b.bases), nil
	}
	return nil, fmt.Errorf("the builder %s is not there", c.Kind)
}

// Close closes the builder that was used last, and lets go of bases.
func (b *Builder) Close() error { return errors.Join(b.closeInner(), b.bases.Close()) }

func (b *Builder) closeInner() error {
	if b.inner == nil {
		return nil
	}
	inner := b.inner
	b.inner = nil
	return inner.Close()
}
