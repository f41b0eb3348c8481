package controller

import (
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/ownwrites"
)

// TestStatusIsNotJudgedByAnOldView: the controller's cache shows a workload's status some time after it was written. A
// reconcile in between finds what the cache still has, and must not take that for what stands in the API server.
func TestStatusIsNotJudgedByAnOldView(t *testing.T) {
	b := newBench(t)
	const late = 300 * time.Millisecond
	slowly := func(object any) (any, error) {
		time.Sleep(late)
		return object, nil
	}
	mgr, err := ctrl.NewManager(apiServer, ctrl.Options{
		Scheme: b.scheme, Metrics: server.Options{BindAddress: "0"}, NewClient: ownwrites.New,
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{b.namespace: {}}, ByObject: map[client.Object]cache.ByObject{&v1alpha1.Workload{}: {Transform: slowly}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Setup(mgr, Options{SkipNameValidation: true}); err != nil {
		t.Fatal(err)
	}
	b.start(mgr)
	b.apply(account)
	b.apply(role)
	b.apply(roleBinding)
	b.apply(imageTemplate)
	b.apply(chainOfOne)
	b.apply(demo)
	b.setImage("demo", firstDigest)
	b.output(firstDigest)
	time.Sleep(2 * late) // the cache has caught up

	b.setImage("demo", secondDigest)
	b.output(secondDigest)
	b.setImage("demo", firstDigest)
	b.output(firstDigest)
}
