package fulfil

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/registry/events"
)

// noStreamPause is how long a registry that has no stream is left alone: `up` may replace it by one that has.
const noStreamPause = 30 * time.Second

// followBases notes in the status of Builds that their base has another digest now, as the registry's push events tell
// it, until ctx ends. Bases that the registry does not have are not looked for.
func (f *fulfiller) followBases(ctx context.Context) {
	handler := events.Handler{
		Connected: func() { f.lookAtBases(ctx, "") }, // what came before nobody has told
		Event: func(event events.Event) {
			if event.Action == events.Push && event.Tag != "" {
				f.lookAtBases(ctx, event.Repository)
			}
		},
	}
	cache.WaitForCacheSync(ctx.Done(), f.known)
	for ctx.Err() == nil {
		if err := events.Follow(ctx, f.Events, nil, handler); !errors.Is(err, events.ErrNoStream) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(noStreamPause):
		}
	}
}

// lookAtBases looks at the bases that are in a repository; "" means all.
func (f *fulfiller) lookAtBases(ctx context.Context, repository string) {
	f.compareBases(ctx, func(base v1alpha1.BuildBase) string {
		here := baseimage.Nearby(base.Name, f.Registry)
		if base.Engine != "" || here == nil || repository != "" && here.Context().RepositoryStr() != repository {
			return ""
		}
		image, err := remote.Image(here, remote.WithContext(ctx), remote.WithPlatform(f.Platform))
		if err != nil {
			return "" // it is not there, or of another platform: the build stays as it is
		}
		digest, err := image.Digest()
		if err != nil {
			return ""
		}
		return digest.String()
	})
}

// compareBases has the digests that the bases of all Builds have now noted; look returns "" for one of which that is not
// known.
func (f *fulfiller) compareBases(ctx context.Context, look func(v1alpha1.BuildBase) string) {
	f.mutex.Lock()
	var found []*v1alpha1.Build
	for _, w := range f.workers {
		if w.latest != nil && len(basesOf(w.latest)) > 0 {
			found = append(found, w.latest)
		}
	}
	f.mutex.Unlock()
	for _, b := range found {
		for _, base := range basesOf(b) {
			newest := look(*base)
			if newest == "" {
				continue
			}
			if err := f.noteBase(ctx, types.NamespacedName{Namespace: b.Namespace, Name: b.Name}, *base, newest); err != nil && ctx.Err() == nil {
				f.Progress.Warn("There is a newer base %s for build %s/%s, but the cluster could not be told: %v", base.Name, b.Namespace, b.Name, err)
			}
		}
	}
}

// basesOf are the bases of a Build's latest image, in its status.
func basesOf(b *v1alpha1.Build) []*v1alpha1.BuildBase {
	var all []*v1alpha1.BuildBase
	if b.Status.Base != nil {
		all = append(all, b.Status.Base)
	}
	for i := range b.Status.Bases {
		all = append(all, &b.Status.Bases[i])
	}
	return all
}

// noteBase writes the digest that a base has now, unless the Build stands on another base meanwhile.
func (f *fulfiller) noteBase(ctx context.Context, key types.NamespacedName, base v1alpha1.BuildBase, newest string) error {
	builds := f.Cluster.Resource(resource).Namespace(key.Namespace)
	for {
		found, err := builds.Get(ctx, key.Name, metav1.GetOptions{})
		if err != nil {
			return ignoreNotFound(err)
		}
		b, err := read(found)
		if err != nil {
			return err
		}
		changed := false
		for _, now := range basesOf(b) {
			same := now.Name == base.Name && now.Digest == base.Digest && now.Engine == base.Engine
			if same && now.Newest != newest && (now.Newest != "" || newest != now.Digest) {
				now.Newest, changed = newest, true
			}
		}
		if !changed {
			return nil
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": b.ResourceVersion}, "status": map[string]any{"base": b.Status.Base, "bases": b.Status.Bases},
		})
		if err != nil {
			return err
		}
		_, err = builds.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		if !apierrors.IsConflict(err) {
			return ignoreNotFound(err)
		}
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
