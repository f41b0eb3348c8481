package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestKilledAndStartedAgain kills the controller while it works and again when all is done: nothing is stamped twice,
// and the last start writes nothing at all. Each start is of one pod's container, which keeps the lease.
func TestKilledAndStartedAgain(t *testing.T) {
	_, cluster := newAPIServer(t)
	t.Setenv("POD_NAME", "pod")
	startProcess := func(t *testing.T) *process { return startProcess(t, "--leader-elect=true") }
	f := newFleet(t, cluster, 50)
	first := startProcess(t)
	waitFor(t, nil, "some workloads are ready", func() bool { return f.ready() > 0 })
	first.kill()
	second := startProcess(t)
	f.await(second)
	if got := len(f.versions()); got != f.whole() {
		t.Errorf("%d objects, want %d", got, f.whole())
	}
	second.kill()
	before := f.versions()
	f.await(startProcess(t))
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
	var lease coordinationv1.Lease
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: leaseName}, &lease); err != nil {
		t.Fatal(err)
	}
	if holder, transitions := *lease.Spec.HolderIdentity, *lease.Spec.LeaseTransitions; holder != "pod" || transitions != 0 {
		t.Errorf("the lease is held by %q after %d transitions, want one pod and none", holder, transitions)
	}
}
