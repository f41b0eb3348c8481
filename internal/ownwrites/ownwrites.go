// Package ownwrites makes the client of controllers, which reads from the cache as controller-runtime's does, but never an
// object from before their own last write of it. A reconcile compares what it has found with the status that it reads, and
// writes nothing where they are equal. With an old status it would leave a newer one of its own as it stands, which is
// wrong by now, and nothing would wake it again: the choreographer's own writes of a status do not.
package ownwrites

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// patience bounds how long a read waits for the cache to show a write. Watches show one within milliseconds, but that of an
// object that was removed while the watch was down never comes. After that the object is read from the API server.
const patience = 10 * time.Second

// New returns a client for a manager (manager.Options.NewClient). What is written, by Status too, must be of kinds that are
// watched: a write of another begins to watch it. Get waits until the cache has seen the client's own
// writes of that object; List does not, since whatever it finds too old is followed by an event.
func New(config *rest.Config, options client.Options) (client.Client, error) {
	if options.Cache == nil || options.Cache.Reader == nil {
		return nil, errors.New("a client that waits for its own writes needs a cache")
	}
	plain, err := client.New(config, options)
	if err != nil {
		return nil, err
	}
	waits, cached := true, *options.Cache
	cached.EnableReadYourWritesConsistency = &waits
	options.Cache = &cached
	patient, err := client.New(config, options)
	if err != nil {
		return nil, err
	}
	options.Cache = nil
	direct, err := client.New(config, options)
	if err != nil {
		return nil, err
	}
	live := map[schema.GroupVersionKind]bool{}
	for _, object := range cached.DisableFor {
		kind, err := apiutil.GVKForObject(object, plain.Scheme())
		if err != nil {
			return nil, fmt.Errorf("finding the kind of what is not cached: %w", err)
		}
		live[kind] = true
	}
	return &mindful{Client: patient, plain: plain, direct: direct, live: live, liveUntyped: !cached.Unstructured}, nil
}

// mindful waits where it must. Whatever the Client in it is asked for, it begins to cache: what is read live goes past it.
type mindful struct {
	client.Client

	plain  client.Client // never waits
	direct client.Reader // reads from the API server
	// live are the kinds that are not cached; liveUntyped says that no unstructured object is.
	live        map[schema.GroupVersionKind]bool
	liveUntyped bool
}

func (m *mindful) of(object client.Object) client.Client {
	if _, untyped := object.(runtime.Unstructured); untyped && m.liveUntyped {
		return m.plain
	}
	if kind, err := m.GroupVersionKindFor(object); err != nil || m.live[kind] {
		return m.plain
	}
	return m.Client
}

func (m *mindful) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := m.of(object).Get(limited, key, object, options...)
	if err != nil && errors.Is(limited.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		return m.direct.Get(ctx, key, object, options...)
	}
	return err
}

func (m *mindful) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return m.plain.List(ctx, list, options...)
}

func (m *mindful) DeleteAllOf(ctx context.Context, object client.Object, options ...client.DeleteAllOfOption) error {
	return m.plain.DeleteAllOf(ctx, object, options...)
}

func (m *mindful) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	return m.of(object).Create(ctx, object, options...)
}

func (m *mindful) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	return m.of(object).Update(ctx, object, options...)
}

func (m *mindful) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return m.of(object).Patch(ctx, object, patch, options...)
}

func (m *mindful) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	return m.of(object).Delete(ctx, object, options...)
}
