package dev

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/registry/events"
)

// mostBatches is how many sources' images are remembered, so that going back to one of them is nothing to build.
const mostBatches = 8

// stock builds the app's source beside the stages that look at it first, for a chain that starts at source, and gives the
// image to the Build that asks for it. It answers for exactly the trees that the app has had.
type stock struct {
	*app
	restocked chan struct{}
	builder   chan struct{} // has an element while the Builder works
	work      sync.WaitGroup

	serving types.NamespacedName
	stop    func() // ends the answering; nil when there is none

	mutex   sync.Mutex // guards what follows
	last    *fulfil.Order
	batches map[string]*batch // by the digest of the source's archive
	known   []string          // their keys, the oldest first
	current *batch            // what is in the folder, for all that is known; nil before the first run
}

var _ fulfil.Stock = (*stock)(nil)

// batch is a source that the app has had.
type batch struct {
	archive string          // digest of the archive
	content string          // digest of what is in it
	life    context.Context //nolint:containedctx // until the folder holds something newer
	end     context.CancelCauseFunc
	latest  *attempt // nil before anybody has wanted an image of it
}

// attempt is one build of a batch.
type attempt struct {
	order fulfil.Order
	step  *step // shows it; nil where nothing does
	ended chan struct{}
	// What follows is there when ended is closed.
	made *fulfil.Made
	err  error
}

func newStock(a *app) *stock {
	return &stock{app: a, restocked: make(chan struct{}, 1), builder: make(chan struct{}, 1), batches: map[string]*batch{}}
}

// serve answers the Builds of a workload until close.
func (s *stock) serve(namespace, workload string) {
	at := types.NamespacedName{Namespace: namespace, Name: workload}
	if s.stop != nil && s.serving == at {
		return
	}
	s.close()
	ctx, cancel := context.WithCancel(s.life)
	ended := make(chan struct{})
	s.serving, s.stop = at, func() {
		cancel()
		<-ended
	}
	options := fulfil.Options{
		Cluster: s.objects, Namespace: namespace, Workload: workload, Registry: s.around.registry, Platform: s.around.platform,
		By: s.By, Pusher: s.pusher, Stock: s, Restocked: s.restocked, Events: "http://" + s.around.registry + events.Path,
		Engine: docker.Connect,
	}
	go func() {
		defer close(ended)
		_ = fulfil.Watch(ctx, options) // it ends with ctx
	}()
}

// close ends the answering and the building, and forgets what is known of the cluster.
func (s *stock) close() {
	s.mutex.Lock()
	if s.current != nil {
		s.current.end(context.Canceled)
		s.current = nil
	}
	clear(s.batches)
	s.known, s.last = nil, nil
	s.mutex.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
	s.work.Wait()
}

// add takes in what is in the folder now, and begins to build it when a Build of the workload is known; else it returns
// nil.
func (s *stock) add(ctx context.Context, r *record, packed v1.Image) (*attempt, error) {
	layers, err := packed.Layers()
	if err != nil {
		return nil, err
	}
	archive, err := layers[0].Digest()
	if err != nil {
		return nil, err
	}
	content, err := layers[0].DiffID()
	if err != nil {
		return nil, err
	}
	b, order := s.enter(archive.String(), content.String())
	defer func() {
		select {
		case s.restocked <- struct{}{}:
		default:
		}
	}()
	if order == nil {
		return nil, nil
	}
	step := r.start(ctx, "build", "Build "+s.Dir)
	if latest := s.good(b, *order); latest != nil {
		step.done("kept: of this source")
		return latest, nil
	}
	return s.begin(b, *order, step), nil
}

// enter makes a batch the current one, and returns what a Build would ask of it.
func (s *stock) enter(archive, content string) (*batch, *fulfil.Order) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	b := s.batches[archive]
	if b == nil {
		b = &batch{archive: archive, content: content}
		s.batches[archive], s.known = b, append(s.known, archive)
		if len(s.known) > mostBatches {
			delete(s.batches, s.known[0])
			s.known = s.known[1:]
		}
	}
	if s.current != b || b.life.Err() != nil { // its life has ended, too, where a save was undone before it had a run
		if s.current != nil {
			s.current.end(errSuperseded)
		}
		s.current = b
		b.life, b.end = context.WithCancelCause(s.life)
	}
	return b, s.last
}

// good is a build of a batch for an order that is done, or under way; nil when there is none.
func (s *stock) good(b *batch, order fulfil.Order) *attempt {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	latest := b.latest
	if latest == nil || !latest.order.Alike(order) {
		return nil
	}
	select {
	case <-latest.ended:
		if latest.made == nil {
			return nil
		}
	default:
		if b.life.Err() != nil {
			return nil
		}
	}
	return latest
}

// begin builds a batch for an order; step shows it, and may be nil.
func (s *stock) begin(b *batch, order fulfil.Order, step *step) *attempt {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	one := &attempt{order: order, step: step, ended: make(chan struct{})}
	b.latest = one
	life := b.life
	s.work.Go(func() {
		defer close(one.ended)
		one.made, one.err = s.produce(life, b.content, order, step)
	})
	return one
}

// Expect is for fulfil.Stock.
func (s *stock) Expect(order fulfil.Order) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if strings.Contains(order.Reason, v1alpha1.CauseBaseImage) && (s.last == nil || s.last.ID != order.ID) {
		for _, b := range s.batches { // they stand on the base before
			b.latest = nil
		}
	}
	s.last = &order
}

// Has is for fulfil.Stock: what is in the folder, and what was built of what was in it before.
func (s *stock) Has(order fulfil.Order) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	b := s.batches[order.Digest()]
	if b == nil {
		return false
	}
	return b.life.Err() == nil || b.latest != nil && b.latest.answers(order)
}

// answers says whether what has come of an attempt is the answer to an order.
func (one *attempt) answers(order fulfil.Order) bool {
	select {
	case <-one.ended:
	default:
		return false
	}
	return one.fits(order) && (one.made != nil || one.refusal() != nil)
}

// fits says whether an attempt is for an order. One that wants the same source anew is served by its own attempt alone.
func (one *attempt) fits(order fulfil.Order) bool {
	return one.order.Alike(order) && (!order.Again() || one.order.ID == order.ID)
}

// refusal is why the source does not build; nil when it does, or that is not known. The attempt has ended.
func (one *attempt) refusal() *fulfil.Refusal {
	refusal, _ := errors.AsType[*fulfil.Refusal](one.err)
	return refusal
}

// Take is for fulfil.Stock.
func (s *stock) Take(ctx context.Context, order fulfil.Order) (*fulfil.Made, error) {
	s.mutex.Lock()
	b := s.batches[order.Digest()]
	if b == nil {
		s.mutex.Unlock()
		return nil, fulfil.ErrOutOfStock
	}
	one := b.latest
	s.mutex.Unlock()
	if one == nil || !one.fits(order) {
		one = s.begin(b, order, nil)
	}
	select {
	case <-one.ended:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch {
	case one.refusal() != nil:
		return nil, one.refusal()
	case one.err == nil && there(ctx, one.made.Image):
		return one.made, nil
	}
	if over := s.drop(b, one); over {
		return nil, fulfil.ErrOutOfStock
	}
	if one.err == nil {
		return nil, errSwept
	}
	return nil, one.err
}

// errSwept means that an image was built, and is not in the registry any more.
var errSwept = errors.New("the image was removed from the registry, and has to be built again")

// there says whether an image is still in the registry. Where that cannot be asked it is.
func there(ctx context.Context, image name.Digest) bool {
	_, err := remote.Head(image, remote.WithContext(ctx))
	return err == nil || transient(err)
}

// drop forgets an attempt, and says whether the source is not in the folder any more.
func (s *stock) drop(b *batch, one *attempt) (over bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if b.latest == one {
		b.latest = nil
	}
	if errors.Is(one.err, fulfil.ErrOutOfStock) {
		b.end(errSuperseded) // what is in the folder will have a run of its own
	}
	return b.life.Err() != nil
}
