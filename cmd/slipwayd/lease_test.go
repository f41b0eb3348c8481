package main

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// countedLock counts the writes that reach the API server.
type countedLock struct {
	resourcelock.Interface

	updates int
	fails   error
	during  func() // what happens until the answer comes; nil for nothing
}

func (l *countedLock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return nil }
func (l *countedLock) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	l.updates++
	if l.during != nil {
		l.during()
	}
	return l.fails
}

func TestLeaseIsRenewedInTime(t *testing.T) {
	if renewEvery+retryPeriod+renewDeadline >= leaseDuration {
		t.Errorf("a lease of %v may be taken over while its holder, which renews it every %v and looks every %v, still tries for %v", leaseDuration, renewEvery, retryPeriod, renewDeadline)
	}
	written, now := &countedLock{}, time.Now()
	lock := &thriftyLock{Interface: written, now: func() time.Time { return now }}
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "a", LeaseDurationSeconds: 15}
	if err := lock.Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	renew := func(want int, what string) {
		t.Helper()
		record.RenewTime = metav1.NewTime(now)
		if err := lock.Update(t.Context(), record); err != nil || written.updates != want {
			t.Errorf("%s: %d writes, %v; want %d", what, written.updates, err, want)
		}
	}
	now = now.Add(retryPeriod)
	renew(0, "a moment after it was made")
	now = now.Add(renewEvery)
	renew(1, "later")
	now = now.Add(retryPeriod)
	renew(1, "a moment later")
	now = now.Add(renewEvery)
	written.during = func() { now = now.Add(renewEvery / 2) }
	renew(2, "with an answer that comes late")
	now = now.Add(renewEvery / 2)
	renew(3, "a while after what was asked, not after the answer")
	written.during = nil
	now = now.Add(renewEvery)
	written.fails = errors.New("away")
	record.RenewTime = metav1.NewTime(now)
	if err := lock.Update(t.Context(), record); err == nil {
		t.Error("a write that fails is not told")
	}
	written.fails = nil
	renew(5, "right after a write that failed")
	record.HolderIdentity = ""
	renew(6, "when it is given back")
}
