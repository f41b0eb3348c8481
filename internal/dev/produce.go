package dev

import (
	"context"
	"errors"
	"time"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/fulfil"
)

// errNotBuilt is the cause with which what follows a chain ends when the app does not build.
var errNotBuilt = errors.New("the app does not build")

// produce builds what is in the folder and pushes it. content says what that must be: something else is out of stock.
// step shows it, and may be nil.
func (s *stock) produce(ctx context.Context, content string, order fulfil.Order, step *step) (*fulfil.Made, error) {
	say := func(what string) {
		if step != nil {
			step.update(what)
		}
	}
	made, err := s.produceInTurn(ctx, content, order, say)
	switch {
	case step == nil:
	case err != nil:
		_ = step.fail(err)
	default:
		step.done(made.Image.DigestStr()[:len("sha256:")+12])
	}
	return made, err
}

func (s *stock) produceInTurn(ctx context.Context, content string, order fulfil.Order, say func(string)) (*fulfil.Made, error) {
	select {
	case s.builder <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.builder }()
	release, err := s.buildTurn(ctx, say)
	if err != nil {
		return nil, err
	}
	defer release()
	source, err := s.readSource(ctx)
	if err != nil {
		return nil, err
	}
	main := order.Main
	if main == "" {
		main = s.Main
	}
	built, err := s.Builder.Build(ctx, build.Request{
		Dir: s.Dir, Source: source, Name: order.Program, Platform: s.around.platform, Main: main, Env: order.Env, Registry: s.around.registry, Update: say,
	})
	if changed := s.unchanged(ctx, content); changed != nil {
		return nil, changed
	}
	if err != nil {
		return nil, fulfil.Refuse(ctx, err)
	}
	say("pushing to " + order.Image)
	builtAt := time.Now()
	made, err := fulfil.Push(ctx, s.pusher, order, built, nil)
	if err != nil {
		return nil, err
	}
	s.prefetch(made.Image)
	made.Attach = func(ctx context.Context) error { return s.attachAll(ctx, made.Image, built, s.Dir, builtAt) }
	return made, nil
}

// unchanged makes sure that the folder holds what it should.
func (s *stock) unchanged(ctx context.Context, content string) error {
	now, err := s.readSource(ctx)
	if err != nil {
		return err
	}
	digest, err := now.Digest(ctx)
	if err == nil && digest != content {
		err = fulfil.ErrOutOfStock // a save came between, and brings a run of its own
	}
	return err
}

// unlessNotBuilt returns a context that ends when an attempt finds that the app does not build, so that nobody waits for
// the stages before the one that would say so. A nil attempt never does.
func unlessNotBuilt(ctx context.Context, one *attempt) (context.Context, func()) {
	inner, cancel := context.WithCancelCause(ctx)
	if one != nil {
		go func() {
			select {
			case <-one.ended:
				if one.refusal() != nil {
					cancel(errNotBuilt)
				}
			case <-inner.Done():
			}
		}()
	}
	return inner, func() { cancel(nil) }
}

// hide ends the step of an attempt that goes on after its run.
func (one *attempt) hide() {
	if one != nil && one.step != nil {
		one.step.skip("nobody has asked for it yet")
	}
}

// because is the compiler's complaint, where that is why the waiting ended.
func (one *attempt) because(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errNotBuilt) {
		return one.refusal().Err
	}
	return err
}
