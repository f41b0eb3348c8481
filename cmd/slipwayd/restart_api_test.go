package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKilledAndStartedAgain kills the controller while it works and again when all is done: nothing is stamped twice,
// and the last start writes nothing at all.
func TestKilledAndStartedAgain(t *testing.T) {
	_, cluster := newAPIServer(t)
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
}
