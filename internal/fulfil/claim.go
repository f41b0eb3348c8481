package fulfil

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const (
	// lease is how long a claim lasts, and renewal how often it is made anew: a builder that was killed keeps the others
	// waiting no longer than that.
	lease   = 30 * time.Second
	renewal = 10 * time.Second
	// releaseLimit is how long a builder that ends may take to give its claims back.
	releaseLimit = time.Second
)

// errTaken means that the claim is another builder's.
var errTaken = errors.New("another builder has taken it")

// rival is what a worker has seen of the claims of others. Clocks of machines differ, so that the time that a claim names
// is not all that counts: one that was seen to be renewed lasts for a lease from then on by our own clock, and none lasts
// longer than a lease after it was last seen to change. The zero value has seen none.
type rival struct {
	claim   v1alpha1.BuildClaim
	seen    time.Time // when it was first seen as it is
	renewed bool      // it was seen with an earlier end
}

// left is how much longer a claim counts. One that was seen with a later end already is an old one.
func (r *rival) left(claim v1alpha1.BuildClaim, now time.Time) time.Duration {
	same := r.claim.Request == claim.Request && r.claim.By == claim.By
	switch {
	case !same:
		*r = rival{claim: claim, seen: now}
	case claim.Until.After(r.claim.Until.Time):
		*r = rival{claim: claim, seen: now, renewed: true}
	}
	left := r.seen.Add(lease).Sub(now)
	if !r.renewed {
		left = min(left, r.claim.Until.Sub(now))
	}
	return max(0, left)
}

// held is how much longer another builder has claimed a Build's request; 0 when none has. The claim of one that cannot do
// it, say since it does not reach the source, counts for those alone that cannot either: others may reach it.
func (w *worker) held(b *v1alpha1.Build) time.Duration {
	claim := b.Status.Claim
	if claim == nil || claim.By == w.By || claim.Request != b.Status.Request.ID {
		return 0
	}
	if claim.Problem != "" && w.trouble.of(claim.Request) == "" {
		return 0
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.rival.left(*claim, time.Now())
}

// free is errTaken, with the holder's name, as long as another builder has claimed a Build's request.
func (w *worker) free(b *v1alpha1.Build) error {
	if w.held(b) > 0 {
		return fmt.Errorf("%w: %s", errTaken, b.Status.Claim.By)
	}
	return nil
}

// claim takes a request, or renews that. It is errTaken while another builder has it.
func (w *worker) claim(ctx context.Context, id string) error {
	return w.write(ctx, w.key, id, func(b *v1alpha1.Build) (map[string]any, error) {
		if err := w.free(b); err != nil {
			return nil, err
		}
		claim := map[string]any{"request": id, "by": w.By, "until": metav1.NewTime(time.Now().Add(lease)), "problem": nil} // null removes another one's
		if problem := w.trouble.of(id); problem != "" {
			claim["problem"] = problem
		}
		return map[string]any{"claim": claim}, nil
	})
}

// trouble is what kept a worker from fulfilling a request the last time that it tried. The zero value is none.
type trouble struct{ request, problem string }

// of is the problem with a request; "" for none.
func (t trouble) of(request string) string {
	if t.request != request {
		return ""
	}
	return t.problem
}

// keep has a claim last over a pause, which is shorter than a lease, and tells in it why there is one. So the Build says
// the same all the time, and what is wrong.
func (w *worker) keep(ctx context.Context, id string, problem error) {
	w.trouble = trouble{request: id, problem: tail(problem)}
	if w.claimed != id {
		return // what is in stock is given out without
	}
	// What is wrong with the cluster the next try will find out.
	if err := w.claim(ctx, id); errors.Is(err, errTaken) || errors.Is(err, errGone) {
		w.claimed = ""
	}
}

// letGo gives back the claim that the worker has.
func (w *worker) letGo(ctx context.Context) {
	if w.claimed != "" {
		w.release(ctx, w.claimed)
		w.claimed = ""
	}
}

// check asks the cluster whether a request is still open and nobody else's: what is not is not to be pushed.
func (w *worker) check(ctx context.Context, id string) error {
	return w.write(ctx, w.key, id, func(b *v1alpha1.Build) (map[string]any, error) { return nil, w.free(b) })
}

// renew keeps a claim until the returned function is called, which may be done twice. When the request turns out to be
// another builder's, or not to be open any more, lost is told.
func (w *worker) renew(ctx context.Context, id string, lost context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(renewal)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.doubt:
			case <-ticker.C:
			}
			// What else is wrong with the cluster, the answer will find out.
			if err := w.claim(ctx, id); errors.Is(err, errTaken) || errors.Is(err, errGone) {
				lost(err)
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// release gives a claim back, also when ctx has ended: others need not wait.
func (w *worker) release(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	// Where it does not succeed the claim ends by itself.
	_ = w.write(ctx, w.key, id, func(b *v1alpha1.Build) (map[string]any, error) {
		if b.Status.Claim == nil || b.Status.Claim.By != w.By {
			return nil, nil
		}
		return map[string]any{"claim": nil}, nil
	})
}
