package dev

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// labelling makes an image that has the content of main.go as a label; one that says "wrong" does not build, and one that
// says "wait" takes until wait is closed.
type labelling struct {
	builds int
	wait   chan struct{}
}

func (l *labelling) Build(ctx context.Context, r build.Request) (*build.Result, error) {
	l.builds++
	content, err := os.ReadFile(filepath.Join(r.Dir, "main.go"))
	if err != nil {
		return nil, err
	}
	switch string(content) {
	case "wrong":
		return nil, &build.SourceError{Command: "go build .", Output: "main.go:1:1: wrong"}
	case "wait":
		select {
		case <-l.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	image, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"content": string(content), "mode": r.Env["MODE"]}})
	return &build.Result{Image: image}, err
}

func (*labelling) Close() error { return nil }

// folder is an app with a stock, without a cluster.
type folder struct {
	*stock
	*testing.T
	builder *labelling
	host    string
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	images := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	f := &folder{T: t, builder: &labelling{wait: make(chan struct{})}, host: strings.TrimPrefix(images.URL, "http://")}
	s := &session{pusher: registry.NewPusher(nil), builds: make(chan struct{}, 1), reach: newReach()}
	a := &app{session: s, App: App{Dir: t.TempDir(), Builder: f.builder}, cluster: &cluster{around: &surroundings{registry: f.host}}, life: t.Context()}
	a.stock = newStock(a)
	f.stock = a.stock
	t.Cleanup(f.close)
	return f
}

// save writes main.go, as a run finds it; it returns the attempt, and the order of a Build for it.
func (f *folder) save(content string) (*attempt, fulfil.Order) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(f.Dir, "main.go"), []byte(content), 0o644); err != nil {
		f.Fatal(err)
	}
	read, err := f.readSource(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	packed, err := artifact.Pack(func(w io.Writer) error { return read.WriteTar(f.Context(), w) })
	if err != nil {
		f.Fatal(err)
	}
	one, err := f.add(f.Context(), newRecord(&ui.Recorder{}, 1, nil), packed)
	if err != nil {
		f.Fatal(err)
	}
	layers, err := packed.Layers()
	if err != nil {
		f.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		f.Fatal(err)
	}
	return one, fulfil.Order{Program: "app", Image: f.host + "/apps/app", Reason: v1alpha1.CauseSource, ID: content, Source: v1alpha1.BuildSource{URL: "http://in.cluster/v2/a/blobs/" + digest.String()}}
}

func (f *folder) take(order fulfil.Order) string {
	f.Helper()
	if !f.Has(order) {
		f.Fatalf("%+v is not in stock", order)
	}
	made, err := f.Take(f.Context(), order)
	if err != nil {
		f.Fatal(err)
	}
	return made.Image.DigestStr()
}

func TestStock(t *testing.T) {
	f := newFolder(t)

	// Nobody has asked before: it is built when somebody does.
	one, first := f.save("one")
	if one != nil || f.builder.builds != 0 {
		t.Errorf("built ahead, %d builds", f.builder.builds)
	}
	f.Expect(first)
	digest := f.take(first)
	if f.take(first) != digest || f.builder.builds != 1 {
		t.Errorf("%d builds", f.builder.builds)
	}

	// From then on it is built before it is asked for.
	two, second := f.save("two")
	<-two.ended
	if f.builder.builds != 2 || f.take(second) == digest || f.builder.builds != 2 {
		t.Errorf("%d builds", f.builder.builds)
	}

	// What was built before is still there, in another configuration it is not, and somebody may want it anew.
	if _, order := f.save("one"); f.take(order) != digest || f.builder.builds != 2 {
		t.Errorf("%d builds", f.builder.builds)
	}
	other := first
	other.Env = map[string]string{"MODE": "x"}
	if f.take(other) == digest || f.builder.builds != 3 {
		t.Errorf("%d builds", f.builder.builds)
	}
	anew := first
	anew.Reason, anew.ID = v1alpha1.CauseManual, "anew"
	if f.take(anew) != digest || f.builder.builds != 4 {
		t.Errorf("%d builds", f.builder.builds)
	}

	// After a newer base nothing of what was built is of use.
	newer := first
	newer.Reason, newer.ID = v1alpha1.CauseBaseImage, "newer"
	f.Expect(newer)
	f.Expect(first)
	if _, order := f.save("two"); f.take(order) == digest || f.builder.builds != 5 {
		t.Errorf("%d builds", f.builder.builds)
	}
	if f.Has(fulfil.Order{Source: v1alpha1.BuildSource{Digest: "sha256:1"}}) {
		t.Error("another source is in stock")
	}
}

func TestStockOfWhatDoesNotBuild(t *testing.T) {
	f := newFolder(t)
	f.Expect(fulfil.Order{Program: "app", Image: f.host + "/apps/app"})
	one, order := f.save("wrong")
	ctx, free := unlessNotBuilt(t.Context(), one)
	defer free()
	<-ctx.Done()
	if err := one.because(ctx, errors.New("waiting")); err == nil || !strings.Contains(err.Error(), "main.go:1:1: wrong") {
		t.Errorf("the run ends with %v", err)
	}
	for range 2 {
		if _, err := f.Take(t.Context(), order); err == nil || !f.Has(order) || one.refusal() == nil || !errors.As(err, new(*fulfil.Refusal)) {
			t.Errorf("taken: %v", err)
		}
	}
	if f.builder.builds != 1 {
		t.Errorf("%d builds", f.builder.builds)
	}
}

func TestStockIsSuperseded(t *testing.T) {
	f := newFolder(t)
	f.Expect(fulfil.Order{Program: "app", Image: f.host + "/apps/app"})
	one, order := f.save("wait")
	two, next := f.save("two")
	<-one.ended
	if f.Has(order) || one.made != nil || one.refusal() != nil {
		t.Errorf("superseded: %v", one.err)
	}
	<-two.ended
	f.take(next)

	// A file that changes behind the run's back is not taken for what the run has seen.
	one, order = f.save("wait")
	if err := os.WriteFile(filepath.Join(f.Dir, "main.go"), []byte("else"), 0o644); err != nil {
		t.Fatal(err)
	}
	close(f.builder.wait)
	<-one.ended
	if _, err := f.Take(t.Context(), order); !errors.Is(err, fulfil.ErrOutOfStock) || f.Has(order) {
		t.Errorf("taken: %v", err)
	}
	// It is undone: the next run has the same source as the one before it, and builds it.
	_, order = f.save("wait")
	f.take(order)
}
