package fulfil

import (
	"archive/tar"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// make fetches the source, builds it and pushes the image. A *Refusal says that the source is at fault.
func (w *worker) make(ctx context.Context, order Order, task ui.Task) (*Made, error) {
	dir, err := os.MkdirTemp("", "slipway-source-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the source: %w", err)
	}
	defer os.RemoveAll(dir)
	task.Update("fetching the source")
	if err := w.fetch(ctx, order, dir); err != nil {
		return nil, err
	}
	built, err := w.builder.Build(ctx, build.Request{
		Dir: dir, Name: order.Program, Platform: w.Platform, Registry: w.Registry, Main: order.Main, Env: order.Env,
		Update: func(what string) { task.Update("%s", what) },
	})
	if err != nil {
		return nil, Refuse(ctx, err)
	}
	if err := w.check(ctx, order.ID); err != nil {
		return nil, err
	}
	task.Update("pushing to %s", order.Image)
	return Push(ctx, w.Pusher, order, built, func(ctx context.Context, image name.Digest) error {
		_, err := w.Pusher.AttachSource(ctx, image, registry.Source{
			Location: artifact.Redacted(order.Source.URL), Revision: order.Source.Revision, Tree: order.Source.Digest, Builder: "slipway build", Time: time.Now(),
		})
		return err
	})
}

// Push pushes what was built for an order. attach attaches its source, and may be nil; what the builder says of the image
// is attached, too.
func Push(ctx context.Context, pusher *registry.Pusher, order Order, built *build.Result, attach func(context.Context, name.Digest) error) (*Made, error) {
	tag, err := name.NewTag(order.Image + ":latest")
	if err != nil {
		return nil, &Refusal{err}
	}
	pushed, err := pusher.Push(ctx, built.Image, tag, nil)
	if err != nil {
		return nil, err
	}
	made := &Made{Image: pushed.Reference}
	if built.Base != nil {
		made.Base = &v1alpha1.BuildBase{Name: built.Base.Name, Digest: built.Base.Digest}
	}
	for _, base := range built.Bases {
		made.Bases = append(made.Bases, v1alpha1.BuildBase{Name: base.Name, Digest: base.Digest, Engine: base.Engine})
	}
	made.Attach = func(ctx context.Context) error {
		var err error
		if attach != nil {
			err = attach(ctx, pushed.Reference)
		}
		for _, evidence := range built.Evidence {
			_, failed := pusher.Attach(ctx, pushed.Reference, evidence.MediaType, evidence.Content, nil)
			err = errors.Join(err, failed)
		}
		return err
	}
	return made, nil
}

// fetch unpacks the source into dir.
func (w *worker) fetch(ctx context.Context, order Order, dir string) error {
	from, err := url.Parse(order.Source.URL)
	if err != nil {
		return &Refusal{fmt.Errorf("reading the URL of the source: %w", err)}
	}
	if here := w.Hosts[from.Host]; here != "" {
		from.Host = here
	}
	err = artifact.Fetch(ctx, artifact.Source{URL: from.String(), Digest: order.Source.Digest, Client: w.artifacts}, dir)
	if err != nil && ctx.Err() == nil && stays(err) {
		return &Refusal{err}
	}
	return err
}

// stays says whether fetching a source that failed like this would fail again: it is the source that is wrong, and not the
// way to it, its server or this machine.
func stays(err error) bool {
	if answer, is := errors.AsType[*artifact.StatusError](err); is {
		return answer.Code < http.StatusInternalServerError && answer.Code != http.StatusTooManyRequests && answer.Code != http.StatusRequestTimeout
	}
	if _, is := errors.AsType[flate.CorruptInputError](err); is {
		return true
	}
	return slices.ContainsFunc([]error{artifact.ErrTooLarge, artifact.ErrRefused, artifact.ErrDigest, gzip.ErrHeader, gzip.ErrChecksum, tar.ErrHeader},
		func(wrong error) bool { return errors.Is(err, wrong) })
}

// Refuse makes of a builder's error the answer to a request, unless it only says that the build was ended.
func Refuse(ctx context.Context, err error) error {
	if ctx.Err() != nil || passes(err) {
		return err
	}
	return &Refusal{err}
}

// passes says whether an error is of a moment: something does not answer.
func passes(err error) bool {
	if refusal := (*transport.Error)(nil); errors.As(err, &refusal) {
		return refusal.StatusCode >= http.StatusInternalServerError || refusal.StatusCode == http.StatusTooManyRequests
	}
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		return false
	}
	network := net.Error(nil)
	return errors.As(err, &network)
}

// tailLines and tailBytes bound what an answer says of an error: the Build's condition shows it.
const (
	tailLines = 30
	tailBytes = 4 << 10
)

// tail is an error with its advice: the first line, which names the command, and the compiler's last ones.
func tail(err error) string {
	text := err.Error()
	wrong := (*build.SourceError)(nil)
	if errors.As(err, &wrong) {
		text = wrong.Error()
	}
	for _, advice := range hint.Of(err) {
		text += "\nHint: " + advice
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > tailLines+1 {
		lines = append([]string{lines[0], fmt.Sprintf("(%d lines before)", len(lines)-1-tailLines)}, lines[len(lines)-tailLines:]...)
	}
	text = strings.Join(lines, "\n")
	if len(text) > tailBytes {
		text = lines[0][:min(len(lines[0]), 200)] + "\n..." + strings.ToValidUTF8(text[len(text)-tailBytes:], "")
	}
	return text
}

// inOneLine leaves out a compiler's output.
func inOneLine(err error) string {
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		return wrong.Summary()
	}
	return err.Error()
}
