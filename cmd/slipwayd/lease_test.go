package main

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// countedLock counts the writes that reach the API server.
type countedLock struct {
	resourcelock.Interface

	updates int
}

func (l *countedLock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return nil }
func (l *countedLock) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	l.updates++
	return nil
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
	record.HolderIdentity = ""
	renew(2, "when it is given back")
}
