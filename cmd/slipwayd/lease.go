package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// podLease is the lease by which replicas agree who reconciles, held in the name of the pod, which the environment
// variable POD_NAME says: a container that the kubelet starts again after a crash then goes on at once, where it would
// otherwise wait until the lease of its own former self has ended. No two containers of one name run in one pod. It is
// nil outside a pod; controller-runtime then makes up a name for the process.
func podLease(config *rest.Config, namespace string) (resourcelock.Interface, error) {
	pod := os.Getenv("POD_NAME")
	if pod == "" {
		return nil, nil
	}
	config = rest.CopyConfig(config)
	config.Timeout = renewDeadline / 2 // a second try must fit in, should one get no answer
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the lease: %w", err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName, clients.CoreV1(), clients.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: pod})
	if err != nil {
		return nil, fmt.Errorf("preparing the lease: %w", err)
	}
	return &thriftyLock{Interface: lock, now: time.Now}, nil
}

// thriftyLock renews a lease less often than whoever waits for it looks: leader election has one period for both, and
// each renewal is a write to the disk of a machine that may run on a battery.
type thriftyLock struct {
	resourcelock.Interface

	now func() time.Time // with a monotonic clock

	mu      sync.Mutex
	written resourcelock.LeaderElectionRecord // zero before the first write
	at      time.Time                         // before that
}

// Create makes the lease.
func (l *thriftyLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	began := l.now()
	if err := l.Interface.Create(ctx, record); err != nil {
		return err
	}
	l.wrote(record, began)
	return nil
}

// Update writes the lease, unless it would only be renewed and was so a moment ago.
func (l *thriftyLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	only, began := l.written, l.now()
	only.RenewTime = record.RenewTime
	spare := only == record && began.Sub(l.at) < renewEvery
	l.mu.Unlock()
	if spare {
		return nil
	}
	if err := l.Interface.Update(ctx, record); err != nil {
		return err
	}
	l.wrote(record, began)
	return nil
}

// wrote notes a write by the time before it: others count from when it was stored, and the answer may come late.
func (l *thriftyLock) wrote(record resourcelock.LeaderElectionRecord, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written, l.at = record, at
}
