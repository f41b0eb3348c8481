package ownwrites

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestWhatIsReadLiveIsNotCached: to read a secret must not begin a watch that holds all secrets of the cluster.
func TestWhatIsReadLiveIsNotCached(t *testing.T) {
	informers := &informertest.FakeInformers{Scheme: scheme.Scheme}
	c, err := New(&rest.Config{Host: "http://127.0.0.1:1", Timeout: time.Second}, client.Options{
		Scheme: scheme.Scheme, Cache: &client.CacheOptions{Reader: informers, DisableFor: []client.Object{&corev1.Secret{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	untyped := &unstructured.Unstructured{}
	untyped.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Node"})
	for _, object := range []client.Object{&corev1.Secret{}, untyped} {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "one"}, object); err == nil {
			t.Errorf("%T was read, but not from the API server", object)
		}
		object.SetName("one")
		if err := c.Update(t.Context(), object); err == nil {
			t.Errorf("%T was written, but not to the API server", object)
		}
	}
	if len(informers.InformersByGVK) > 0 {
		t.Errorf("these are cached now: %v", informers.InformersByGVK)
	}
}

func TestNeedsACache(t *testing.T) {
	if _, err := New(&rest.Config{}, client.Options{}); err == nil {
		t.Error("a client without a cache cannot know what was seen")
	}
}
