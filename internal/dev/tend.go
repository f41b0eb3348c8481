package dev

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// tend looks after what a run has arrived at, until ctx ends: connections go to the pod that is there now, a pod that
// fails later is told of, and so is a workload that somebody deletes. After a run that the cluster kept from arriving, or
// that found no supply chain, it is awaited that this is put right.
func (a *app) tend(ctx context.Context) {
	switch {
	case a.chainless != nil:
		a.awaitChain(ctx, a.chainless)
		return
	case a.observer == nil:
		return
	case a.halted != nil:
		a.awaitMended(ctx, a.halted)
		return
	case a.arrived.name == "":
		return
	}
	changed, unsubscribe := a.observer.subscribe()
	defer unsubscribe()
	var (
		patience patience
		told     string
	)
	for {
		left := time.Duration(-1)
		if since, _, _ := a.reach.away(); since.IsZero() {
			left = a.tendOnce(ctx, &patience, &told)
		}
		var again <-chan time.Time
		if left > 0 {
			again = time.After(left)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// tendOnce does it once, and returns when to look again though nothing changes; less than 0 means never.
func (a *app) tendOnce(ctx context.Context, p *patience, told *string) time.Duration {
	now, err := a.observer.see()
	if err != nil {
		return -1
	}
	st := assess(a.arrived, now)
	if st.pod != nil && !hasPod(now.pods, a.forwards.pod()) {
		a.forwards.point(destinationOf(st, a.Ports))
	}
	if st.done {
		if *told != "" {
			a.progress.Say("%s/%s is ready again", a.arrived.namespace, a.arrived.name)
		}
		*told = ""
	}
	left := p.left(st.problem, time.Now())
	if left != 0 || *told == st.problem.message {
		return left
	}
	*told = st.problem.message
	a.progress.Warn("%v", a.chainError(ctx, st.problem))
	return -1
}

// hasPod says whether a pod of that name is there and stays.
func hasPod(pods []*corev1.Pod, name string) bool {
	for _, pod := range pods {
		if pod.Name == name && pod.DeletionTimestamp == nil {
			return true
		}
	}
	return false
}
