package fulfil

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/ui"
)

// firstPause and lastPause are between two tries when something does not answer; each is twice the one before. A claim that
// is made at the beginning of a pause lasts over it.
const (
	firstPause = time.Second
	lastPause  = lease * 2 / 3
)

// worker does the builds of one Build, one after another.
type worker struct {
	*fulfiller
	key   types.NamespacedName
	news  chan struct{} // has a value when latest has changed since it was last looked at
	doubt chan struct{} // has a value when the claim was seen to be another builder's

	builder build.Builder // nil before the first build
	tries   int           // that something did not answer, one after another
	passed  string        // a request for which nothing is there: somebody else has to fulfil it
	claimed string        // the request that the worker has claimed; "" for none
	trouble trouble       // is not written while the claim is renewed

	// The fulfiller's mutex guards what follows.
	latest  *v1alpha1.Build // nil when it was deleted
	current string          // the request that is being fulfilled; "" for none
	cancel  context.CancelCauseFunc
	rival   rival
	resting string    // a request for which something did not answer; "" for none
	rested  time.Time // when it is tried again
	pending *Outcome  // of a request that was answered, until the stage has seen it
	asked   string    // its id
	began   time.Time
}

// hear takes news, and ends work that is not wanted any more.
func (w *worker) hear(b *v1alpha1.Build, deleted bool) {
	w.latest = b
	if deleted {
		w.latest = nil
	}
	if w.current != "" && (deleted || !asks(b, w.current)) {
		w.cancel(errGone)
	}
	if claim := b.Status.Claim; w.current != "" && claim != nil && claim.By != w.By && claim.Request == w.current {
		notify(w.doubt) // the news may be older than our own claim, so the cluster is asked
	}
	if w.pending != nil && (deleted || settled(b, w.asked)) {
		outcome := *w.pending
		w.pending = nil
		outcome.Seconds = time.Since(w.began).Seconds()
		if answer := b.Status.Answer; answer != nil && answer.Request == w.asked && outcome.Error == "" {
			outcome.Image, outcome.Error = "", messageOf(b) // the stage does not take it
		}
		w.Observe(outcome)
	}
	w.wake()
}

func (w *worker) wake() { notify(w.news) }

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func messageOf(b *v1alpha1.Build) string {
	for _, condition := range b.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Message
		}
	}
	return ""
}

// run works until the Build is deleted, or the fulfiller ends.
func (w *worker) run() {
	defer func() {
		w.letGo(w.life)
		if w.builder != nil {
			_ = w.builder.Close() // what is left is a temporary folder
		}
	}()
	for {
		b := w.see()
		if b == nil {
			return
		}
		var again <-chan time.Time
		if pause := w.attend(w.life, b); pause > 0 {
			again = time.After(pause)
		}
		select {
		case <-w.life.Done():
			return
		case <-w.news:
		case <-again:
		}
	}
}

func (w *worker) see() *v1alpha1.Build {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.latest
}

// attend fulfils a Build's request, if it has one that is open and nobody else's. It returns when to look again; 0 means
// at the next news.
func (w *worker) attend(ctx context.Context, b *v1alpha1.Build) time.Duration {
	if !open(b) || !w.wanted(w.key, b.Status.Request.ID) {
		return 0
	}
	order, id := orderOf(b), b.Status.Request.ID
	if left := w.rest(id); left > 0 {
		return left
	}
	inStock := w.Stock != nil && w.Stock.Has(order)
	if w.NewBuilder == nil && !inStock && (order.Reason != v1alpha1.CauseBaseImage || w.passed == id) {
		w.letGo(ctx)
		return 0
	}
	// What is in stock needs no claim, but a rebase, which comes before it, does.
	if left := w.held(b); left > 0 && (!inStock || order.Reason == v1alpha1.CauseBaseImage) {
		return left + time.Second
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.begin(id, cancel)
	err := w.fulfil(inner, cancel, order, id, inStock)
	w.end()
	if !w.again(ctx, inner, id, err) {
		w.letGo(ctx)
		if errors.Is(context.Cause(inner), errTaken) || errors.Is(err, errTaken) {
			return time.Second // the news of who took it may come later than that
		}
		return 0
	}
	pause := min(firstPause<<min(w.tries, 5), lastPause)
	w.tries++
	w.keep(ctx, id, err)
	w.mutex.Lock()
	w.resting, w.rested = id, time.Now().Add(pause)
	w.mutex.Unlock()
	w.Progress.Warn("Build %s: %v; trying again in %s", w.key, err, pause)
	return pause
}

// again says whether a request is to be tried again after a pause, by what became of a try: inner is its context.
func (w *worker) again(ctx, inner context.Context, id string, err error) bool {
	switch {
	case err == nil:
		w.tries, w.trouble = 0, trouble{}
		return false
	case errors.Is(err, ErrOutOfStock):
		w.passed = id
		return false
	case ctx.Err() != nil, errors.Is(context.Cause(inner), errGone), errors.Is(err, errGone),
		errors.Is(context.Cause(inner), errTaken), errors.Is(err, errTaken):
		return false
	}
	return !w.giveUp(w.key, err)
}

// rest is how much longer a request is left alone: the news of our own claim must not cut a pause short.
func (w *worker) rest(id string) time.Duration {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.resting != id {
		return 0
	}
	return max(0, time.Until(w.rested))
}

func (w *worker) begin(id string, cancel context.CancelCauseFunc) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.current, w.cancel = id, cancel
	if w.latest == nil || !asks(w.latest, id) {
		cancel(errGone)
	}
}

func (w *worker) end() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.current, w.cancel = "", nil
}

// fulfil claims a request, has its image made, and answers. What is in stock needs no claim where another builder has it:
// the answer ends that one's work.
func (w *worker) fulfil(ctx context.Context, lost context.CancelCauseFunc, order Order, id string, inStock bool) error {
	began := time.Now()
	stop := func() {}
	switch err := w.claim(ctx, id); {
	case err == nil:
		w.claimed = id
		if inStock {
			lost = func(error) {}
		}
		stop = w.renew(ctx, id, lost)
	case !inStock || !errors.Is(err, errTaken):
		return err
	}
	defer func() { stop() }()
	task := w.Progress.Start("build", order.title())
	made, err := w.obtain(ctx, order, inStock, task)
	answer := v1alpha1.BuildAnswer{Request: id}
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		answer.Error = tail(refusal.Err)
	} else if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			task.Skip(cause.Error())
			return cause
		}
		task.Fail(errors.New(inOneLine(err)))
		return err
	} else {
		answer.Image, answer.Base, answer.Bases = made.Image.String(), made.Base, made.Bases
	}
	w.end() // the news of the answer may come before it has been written for all that we know
	w.expect(id, began, order, answer)
	stop() // it must not take the answer for somebody else's
	if err := w.answer(ctx, answer, inStock); err != nil {
		w.expect("", began, order, answer)
		task.Skip(err.Error())
		return err
	}
	w.claimed = "" // the answer has ended the claim
	if answer.Error != "" {
		task.Fail(errors.New(inOneLine(err)))
		return nil
	}
	task.Done(made.Image.DigestStr())
	if made.Attach != nil {
		if err := made.Attach(w.life); err != nil && w.life.Err() == nil {
			w.Progress.Warn("The image of build %s is pushed, but what tells of it could not be attached: %v", w.key, err)
		}
	}
	return nil
}

// expect has the outcome told as soon as the stage has seen the answer; with an empty id it is forgotten.
func (w *worker) expect(id string, began time.Time, order Order, answer v1alpha1.BuildAnswer) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.asked, w.began, w.pending = id, began, nil
	if id != "" {
		w.pending = &Outcome{Namespace: w.key.Namespace, Name: w.key.Name, Reason: order.Reason, Revision: order.Source.Revision, Image: answer.Image, Error: answer.Error}
	}
}

// obtain puts what was built on a newer base, takes the image from stock, or has it built when there is room.
func (w *worker) obtain(ctx context.Context, order Order, inStock bool, task ui.Task) (*Made, error) {
	if order.Reason == v1alpha1.CauseBaseImage {
		made, err := w.rebase(ctx, order, task)
		if made != nil || err != nil {
			return made, err
		}
	}
	if inStock {
		return w.Stock.Take(ctx, order)
	}
	if w.NewBuilder == nil {
		return nil, ErrOutOfStock
	}
	select {
	case w.slots <- struct{}{}:
	default:
		task.Update("waiting for the other builds")
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer func() { <-w.slots }()
	if w.builder == nil {
		builder, err := w.NewBuilder()
		if err != nil {
			return nil, fmt.Errorf("preparing to build: %w", err)
		}
		w.builder = builder
	}
	return w.make(ctx, order, task)
}
