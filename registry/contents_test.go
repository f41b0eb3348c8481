package registry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/contents"
)

// TestSweepsDuringPushesLoseNothing pushes from several sides, while sweeps without any grace take all that is not in use:
// also what has just been sent, and what pushers believe to be there.
func TestSweepsDuringPushesLoseNothing(t *testing.T) {
	_, tag := newLocal(t)
	host := tag.RegistryStr()
	base := randomImage(t, 3)

	var mutex sync.Mutex
	inUse := map[string]v1.Image{} // repository -> what a workload there would run
	keep := func() contents.Keep {
		mutex.Lock()
		defer mutex.Unlock()
		var keep contents.Keep
		for _, image := range inUse {
			digest, _ := image.Digest()
			keep.Digests = append(keep.Digests, digest.String())
		}
		return keep
	}
	pushed := make(chan struct{}, 1)
	pusher := registry.NewPusher(nil)
	var pushers, sweeper sync.WaitGroup
	for i := range 4 {
		pushers.Go(func() {
			place := tag.Registry.Repo("apps", fmt.Sprint("app-", i)).Tag("latest")
			for range 12 {
				layer, err := random.Layer(20_000, types.OCILayer)
				if err != nil {
					t.Error(err)
					return
				}
				image, err := mutate.AppendLayers(base, layer)
				if err != nil {
					t.Error(err)
					return
				}
				mutex.Lock()
				inUse[place.RepositoryStr()] = image
				mutex.Unlock()
				done, err := pusher.Push(t.Context(), image, place, nil)
				if err != nil {
					t.Error(err)
					return
				}
				assertWhole(t, done.Reference, image)
				select {
				case pushed <- struct{}{}:
				default:
				}
			}
		})
	}
	sweeps, removed := 0, 0
	sweeper.Go(func() {
		for range pushed {
			result, err := registry.Sweep(t.Context(), host, contents.SweepRequest{Keep: keep()})
			if err != nil {
				t.Error(err)
				return
			}
			sweeps, removed = sweeps+1, removed+len(result.Removed)
		}
	})
	pushers.Wait()
	close(pushed)
	sweeper.Wait()
	if sweeps == 0 || removed == 0 {
		t.Errorf("%d sweeps removed %d images: nothing was tried", sweeps, removed)
	}
	for repository, image := range inUse {
		assertWhole(t, tag.Registry.Repo(strings.Split(repository, "/")...).Tag("latest"), image)
	}
	listing, err := registry.List(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(listing.Images, func(a, b contents.Image) int { return strings.Compare(a.Repository, b.Repository) }) || listing.Used == 0 {
		t.Errorf("the listing is %+v", listing)
	}
}

// A sweep in the middle of a push, at the worst moment: after the push has seen that a layer is there.
func TestSweepBetweenBlobsAndManifest(t *testing.T) {
	there, tag := newLocal(t)
	first := randomImage(t, 3)
	pusher := registry.NewPusher(nil)
	if _, err := pusher.Push(t.Context(), first, tag, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := pusher.Push(t.Context(), randomImage(t, 1), tag, nil); err != nil {
		t.Fatal(err)
	}
	layer, err := random.Layer(2048, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	second, err := mutate.AppendLayers(first, layer)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	there.onPatch = func() {
		result, err := registry.Sweep(t.Context(), tag.RegistryStr(), contents.SweepRequest{})
		if err != nil {
			t.Error(err)
			return
		}
		removed = result.Blobs
	}
	if _, err := pusher.Push(t.Context(), second, tag, nil); err != nil {
		t.Fatal(err)
	}
	if removed < 3 {
		t.Errorf("the sweep removed %d blobs, want the layers that the push relied on", removed)
	}
	assertWhole(t, tag, second)
}

func TestAnOlderRegistryIsNamed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := registry.List(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err == nil || !slices.ContainsFunc(hint.Of(err), func(advice string) bool { return strings.Contains(advice, "slipway up") }) {
		t.Errorf("got %v with the advice %q", err, hint.Of(err))
	}
}
